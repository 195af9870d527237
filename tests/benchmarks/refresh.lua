-- Refreshes with rotation: each answer's refresh token is used next, each token once.
-- Arguments: a file with one refresh token per line after the first, the Authorization header.
local waiting, first, last = {}, 1, 0
local headers

local function keep(token)
  last = last + 1
  waiting[last] = token
end

function init(args)
  local lines = io.lines(args[1])
  lines()
  for line in lines do keep(line) end
  headers = {
    ["Authorization"] = args[2],
    ["Content-Type"] = "application/x-www-form-urlencoded",
  }
end

function request()
  local token = waiting[first]
  -- More tokens than connections are handed in: one is always waiting, or an answer failed.
  if not token then os.exit(9) end
  waiting[first] = nil
  first = first + 1
  return wrk.format("POST", nil, headers, "grant_type=refresh_token&refresh_token=" .. token)
end

function response(status, _, body)
  if status == 200 then keep(body:match('"refresh_token":"([^"]+)"')) end
end

dofile((debug.getinfo(1, "S").source:sub(2):match("^(.*)/") or ".") .. "/summary.lua")
