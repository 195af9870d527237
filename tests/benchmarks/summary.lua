-- Prints what was measured as one line of JSON; times in microseconds.
function done(summary, latency)
  local errors = summary.errors
  local buckets = {}
  for percent = 1, 99 do buckets[percent] = latency:percentile(percent) end
  io.write(string.format(
    '{"requests": %d, "duration": %d, "refused": %d, "failed": %d, "percentiles": [%s]}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    table.concat(buckets, ", ")
  ))
end
