-- Actors with a supervisor: each takes messages from its mailbox, and one that ends with an error is started anew.
-- osthread run supervisor.lua
local osthread = require "osthread"

local function actor(answers)
  local osthread = require "osthread"
  local count = 0
  for message in osthread.receive do
    assert(type(message) == "number", "I only know numbers")
    count = count + 1
    answers:send { name = osthread.self().name, square = message * message, count = count }
  end
end

local answers, ends = osthread.Channel(), osthread.Channel()

-- An actor of which the supervisor hears when it ends.
local function start(name) return osthread.OSThread({ name = name, notify = ends }, actor, answers) end

local actors = { Ada = start "Ada", Bob = start "Bob" }
actors.Ada:send(3)
actors.Bob:send("three")
actors.Ada:send(4)

local name = ends:receive().name
local _, why = pcall(actors[name].result, actors[name])
print(name .. " has ended: " .. why.message:match(": ([^:]*)$") .. "; started anew")
actors[name] = start(name)
actors.Bob:send(5)

for _ = 1, 3 do
  local answer = answers:receive()
  print(("%s's message %d: %d"):format(answer.name, answer.count, answer.square))
end
for _, each in pairs(actors) do
  each.mailbox:close() -- its loop ends
  each:result()
end
