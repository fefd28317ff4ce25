-- For wrk: sends the requests of a file in turn, and prints what happened as one JSON object.
-- Each request is its length in decimal, a newline, and that many bytes.

local requests, index = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local length = file:read("*n")
  while length do
    file:read(1)
    requests[#requests + 1] = file:read(length)
    length = file:read("*n")
  end
  file:close()
end

function request()
  index = index % #requests + 1
  return requests[index]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answers": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "slowest": %.3f, ' ..
    '"refused": %d, "lost": %d, "unanswered": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout))
end
