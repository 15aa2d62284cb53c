-- A small harness: tests by name, one after the other, each with what it needs and cleaned up behind it.
-- It prints what `cargo test` prints, so that the same summary counts both.

local iomodules = require "iomodules"
local net = iomodules.net

local harness = { interpreter = assert(os.getenv("IOMODULES_LUA"), "IOMODULES_LUA names the interpreter") }

local failed, passed = {}, 0

-- What handlers raise, while a test runs.
local raised = {}
iomodules.error_handler = function(text, place)
  raised[#raised + 1] = place .. ": " .. text
end

local Test = {}
Test.__index = Test

-- Turns the loop until the condition holds; what never comes is an error.
function Test:wait(condition, what)
  local idle = 0
  while not condition() do
    if not iomodules.run_once(100) then
      idle = idle + 1
      if idle == 100 then error("waited in vain for " .. what, 2) end
    end
  end
end

function Test:keep(object)
  self.objects[#self.objects + 1] = object
  return object
end

function Test:socket(class)
  return self:keep((class or net.TcpSocket).new())
end

-- A server on a free port of this machine.
function Test:server(class)
  local server = self:keep((class or net.TcpServer).new())
  if class == net.SslServer then server.ssl_configuration = harness.pki.configuration() end
  local listens
  server:listen_async(0, "127.0.0.1", function(_, result) listens = result end)
  self:wait(function() return listens ~= nil end, "a server that listens")
  assert(listens, server.error_string)
  return server
end

-- The next connection at a server.
function Test:accept(server)
  self:wait(function() return server.has_pending_connections end, "a connection")
  local accepted
  server:next_pending_connection_async(function(_, socket) accepted = socket end)
  self:wait(function() return accepted end, "the connection")
  return self:keep(accepted)
end

-- A connected pair: the end that dials is of the given class, the other a plain socket.
function Test:pair(class)
  local server = self:server()
  local near = self:socket(class)
  near:connect("127.0.0.1", server.port, net.Stream.READ_WRITE_MODE)
  local far = self:accept(server)
  self:wait(function() return near.state == net.TcpSocket.CONNECTED_STATE end, "state connected")
  return near, far
end

-- Notes each call of each handler, as the handler's name and what it is told.
function harness.record(socket, ...)
  local told = {}
  local names = { "state_changed", "host_found", "connected", "error", "disconnected" }
  for _, name in ipairs { ... } do names[#names + 1] = name end
  for _, name in ipairs(names) do
    socket[name .. "_handler"] = function(_, value)
      told[#told + 1] = value ~= nil and name .. " " .. tostring(value) or name
    end
  end
  return told
end

-- Reads all that comes; gives a function that tells it, and one that tells how much it is.
function harness.collect(socket)
  local parts, count = {}, 0
  socket.ready_read_handler = function(self)
    local part = self:read_all_string()
    parts[#parts + 1], count = part, count + #part
  end
  return function() return table.concat(parts) end, function() return count end
end

function harness.equal(is, should, what)
  if type(should) == "table" then
    is, should = table.concat(is, ", "), table.concat(should, ", ")
  end
  if is ~= should then
    error(("%s: %q, but it should be %q"):format(what or "got", tostring(is), tostring(should)), 2)
  end
end

function harness.raises(pattern, work, ...)
  local fine, text = pcall(work, ...)
  if fine then error("it raised nothing, but should have: " .. pattern, 2) end
  text = tostring(text)
  if not text:find(pattern) then error(("raised %q, not %q"):format(text, pattern), 2) end
end

function harness.write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

function harness.read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

-- A foreign program in the background; it is ended with the test. `harness.read_file(peer.log)` is what
-- it has said so far.
function Test:peer(command)
  self.peers = self.peers + 1
  local log = ("%s/peer-%d-%d"):format(harness.folder, passed + #failed, self.peers)
  local started = io.popen(("%s > %s 2>&1 & echo $!"):format(command, log))
  local peer = { log = log, id = started:read("*l") }
  started:close()
  self.running[#self.running + 1] = peer.id
  return peer
end

-- Waits until a peer has said something, and gives what the pattern captures.
function Test:hears(peer, pattern)
  local found
  self:wait(function()
    found = (harness.read_file(peer.log) or ""):match(pattern)
    return found
  end, pattern .. " from a peer, which said: " .. (harness.read_file(peer.log) or "nothing"))
  return found
end

-- Runs a script in an interpreter of its own; gives all that it says, and its exit code at the end.
function harness.script(text, before)
  local path = os.tmpname()
  harness.write_file(path, text)
  local run = io.popen(("%s %s %s 2>&1; echo exit $?"):format(before or "", harness.interpreter, path))
  local said = run:read("*a")
  run:close()
  os.remove(path)
  return said
end

-- A test whose body runs outside of every handler.
function harness.outside(name, body)
  local test = setmetatable({ objects = {}, running = {}, peers = 0 }, Test)
  raised = {}
  local fine, trouble = xpcall(function() body(test) end, debug.traceback)
  for _, id in ipairs(test.running) do
    -- Until it is gone, or its parent alone has still to hear of it.
    os.execute(([[kill %d 2>/dev/null; for _ in $(seq 100); do
      grep -qs '^State:.[^Z]' /proc/%d/status || break; sleep 0.05; done]]):format(id, id))
  end
  for _, object in ipairs(test.objects) do
    if object.abort then object:abort() else object:close() end
  end
  test.objects = {}
  while iomodules.run_once(0) do end
  if #raised > 0 and not test.may_raise then
    local before = fine and "" or tostring(trouble) .. "\n"
    fine, trouble = false, before .. "a handler raised " .. table.concat(raised, "\n")
  end
  print(("test %s: %s ... %s"):format(harness.label, name, fine and "ok" or "FAILED"))
  if fine then
    passed = passed + 1
  else
    failed[#failed + 1] = name
    print(trouble)
  end
end

-- A test whose body runs as a handler does: all methods may be called.
function harness.test(name, body)
  harness.outside(name, function(test)
    iomodules.run(function()
      body(test)
      iomodules.stop()
    end)
  end)
end

-- What handlers have raised in this test; the test is to look at it, and it is no failure then.
function Test:expect_raised()
  self.may_raise = true
  return raised
end

-- Notes that a test cannot run on this machine.
function harness.skip(name, why)
  name = harness.label .. ": " .. name
  local list = os.getenv("LEVADA_SKIPS")
  if list then
    local file = assert(io.open(list, "a"))
    file:write(name, ": ", why, "\n")
    file:close()
  end
  print(("test %s ... ok"):format(name))
  passed = passed + 1
end

-- Prints the sum. Whether all went well.
function harness.close()
  local word = #failed == 0 and "ok" or "FAILED"
  print(("\ntest result: %s. %d passed; %d failed; 0 ignored"):format(word, passed, #failed))
  return #failed == 0
end

return harness
