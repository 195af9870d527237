-- Sends the requests of a file, in turn; with "once", none of them twice.
-- The file holds records: the length of a raw HTTP request in decimal, a newline, the request.
local requests, count, at, once = {}, 0, 0, false

function init(args)
  local file = assert(io.open(args[1], "rb"))
  once = args[2] == "once"
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    count = count + 1
    requests[count] = file:read(length)
  end
  file:close()
end

function request()
  at = at + 1
  if at > count then
    -- A benchmark that ran out of requests would measure refusals: better a failure.
    if once then os.exit(9) end
    at = 1
  end
  return requests[at]
end

dofile((debug.getinfo(1, "S").source:sub(2):match("^(.*)/") or ".") .. "/summary.lua")
