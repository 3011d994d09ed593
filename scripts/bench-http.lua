-- Requests for `make bench-http`, with wrk. The environment says which: TOKEN, STORE, and
--   CALL      ecwid or prosperna
--   PRODUCTS  how many different products are named, from 1
--   PAUSE_MS  pause of each connection before a request; none by default
-- Every answer is checked. The last line is for the bench: RESULT with the numbers of right and wrong answers.

local call = os.getenv("CALL")
local products = tonumber(os.getenv("PRODUCTS"))
local pause = tonumber(os.getenv("PAUSE_MS") or "0")
local store = os.getenv("STORE")
local requests = {}
local number, threads = 0, {}

function setup(thread)
    thread:set("number", number)
    number = number + 1
    table.insert(threads, thread)
end

local function ecwid(product)
    local path = "/api/v3/" .. store .. "/products/" .. product .. "/inventory"
    return wrk.format("PUT", path, nil, '{"quantityDelta":-1}')
end

local function prosperna()
    local lines = {}
    for line = 1, 15 do
        lines[line] = string.format('{"product_id":"%d","purchased_quantity":1}', math.random(products))
    end
    local path = "/v1/products/stock-quantity?store_id=" .. store
    return wrk.format("POST", path, nil, "[" .. table.concat(lines, ",") .. "]")
end

function init()
    math.randomseed(42 + number)
    wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
    wrk.headers["Content-Type"] = "application/json"
    for index = 1, call == "ecwid" and products or 2000 do
        requests[index] = call == "ecwid" and ecwid(index) or prosperna()
    end
    right, wrong = 0, 0
end

function request() return requests[math.random(#requests)] end

-- Evenly spread, so that the connections do not keep in step.
if pause > 0 then
    function delay() return math.random(math.floor(pause * 0.5), math.ceil(pause * 1.5)) end
end

function response(status, headers, body)
    if status == 200 and (call ~= "ecwid" or body == '{"updateCount":1}') then
        right = right + 1
    else
        wrong = wrong + 1
        if wrong < 4 then io.stderr:write("wrong answer: ", status, " ", body, "\n") end
    end
end

function done(summary, latency)
    local right, wrong = 0, 0
    for _, thread in ipairs(threads) do
        right = right + thread:get("right")
        wrong = wrong + thread:get("wrong")
    end
    local errors = summary.errors
    wrong = wrong + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("RESULT %d %d %d %d %d\n", right, wrong, summary.duration, latency:percentile(50),
        latency:percentile(99)))
end
