-- Rows L24 and L25: servers.

local harness = require "harness"
local iomodules = require "iomodules"
local net = iomodules.net

local test, equal, raises = harness.test, harness.equal, harness.raises

for _, class in ipairs { net.TcpServer, net.SslServer } do
  local which = class == net.TcpServer and "TcpServer" or "SslServer"

  local function server(test)
    local server = test:keep(class.new())
    if class == net.SslServer then server.ssl_configuration = harness.pki.configuration() end
    return server
  end

  local function dial(test, server)
    local socket = test:socket()
    socket:connect("127.0.0.1", server.port)
    return socket
  end

  test("L24 a " .. which .. " listens, and tells of each connection", function(test)
    local server = server(test)
    equal(server.listening, false)
    equal(server.port, 0)
    equal(server.max_pending_connections, 30)
    equal(server.has_pending_connections, false)
    equal(server.error_string, "")
    equal(server:next_pending_connection(), nil)
    local calls = 0
    server.new_connection_handler = function(self)
      equal(self, server)
      calls = calls + 1
    end
    equal(server:listen(0, "127.0.0.1"), true)
    equal(server.listening, true)
    assert(server.port > 0)
    local first, second = dial(test, server), dial(test, server)
    test:wait(function() return calls == 2 end, "two connections")
    equal(server.has_pending_connections, true)
    local accepted = test:keep(server:next_pending_connection())
    equal(accepted.state, net.TcpSocket.CONNECTED_STATE)
    equal(accepted.open_mode, net.Stream.READ_WRITE_MODE)
    equal(accepted.local_port, server.port)
    equal(accepted.facts.role, "server")
    test:keep(server:next_pending_connection())
    equal(server.has_pending_connections, false)
    assert(first:wait_for_connected() and second:wait_for_connected())

    equal(server:listen(0), false)
    equal(server.error_string, "the server listens already")
    local port = server.port
    server:close()
    equal(server.listening, false)
    equal(server.port, 0)
    -- Nobody listens there any more: the port can be had again.
    equal(server:listen(port, "127.0.0.1"), true)
  end)

  test("L24 a " .. which .. " listens at every address unless told otherwise", function(test)
    local server = server(test)
    raises("\"localhost\" is no IP address", server.listen, server, 0, "localhost")
    equal(server:listen(0), true)
    for _, address in ipairs { "127.0.0.1", "::1" } do
      local socket = test:socket()
      socket:connect(address, server.port)
      local accepted = test:accept(server)
      equal(accepted.remote_address, address)
    end
  end)

  test("L24 new_connect_handler is another name of new_connection_handler (" .. which .. ")", function(test)
    local server = server(test)
    local calls = 0
    server.new_connect_handler = function() calls = calls + 1 end
    equal(server.new_connection_handler, server.new_connect_handler)
    server:listen(0, "127.0.0.1")
    dial(test, server)
    test:wait(function() return calls == 1 end, "a connection")
  end)

  test("L24 no more connections wait at a " .. which .. " than may", function(test)
    local server = server(test)
    local calls = 0
    server.new_connection_handler = function() calls = calls + 1 end
    server.max_pending_connections = 2
    server:listen(0, "127.0.0.1")
    for _ = 1, 4 do assert(dial(test, server):wait_for_connected()) end
    test:wait(function() return calls == 2 end, "two connections")
    for _ = 1, 3 do iomodules.run_once(20) end
    equal(calls, 2)
    test:keep(server:next_pending_connection())
    test:wait(function() return calls == 3 end, "the third")
    server.max_pending_connections = 30
    test:wait(function() return calls == 4 end, "the fourth")
  end)

  test("L24 a " .. which .. " pauses", function(test)
    local server = server(test)
    local calls = 0
    server.new_connection_handler = function() calls = calls + 1 end
    server:pause_accepting()
    server:listen(0, "127.0.0.1")
    -- The system holds it meanwhile.
    assert(dial(test, server):wait_for_connected())
    for _ = 1, 3 do iomodules.run_once(20) end
    equal(calls, 0)
    server:resume_accepting()
    test:wait(function() return calls == 1 end, "a connection")
  end)

  test("L24 a port that is taken is no success (" .. which .. ")", function(test)
    local first, second = server(test), server(test)
    first:listen(0, "127.0.0.1")
    equal(second:listen(first.port, "127.0.0.1"), false)
    assert(second.error_string:find("EADDRINUSE", 1, true), second.error_string)
    equal(second.listening, false)
    local result, trouble
    second:listen_async(first.port, "127.0.0.1", function(_, ...) result, trouble = ... end)
    test:wait(function() return result ~= nil end, "a callback")
    equal(result, false)
    equal(trouble, nil)
    -- What is no mistake of the system's but of the call is the callback's error.
    second:listen_async(0, "nowhere", function(_, ...) result, trouble = ... end)
    test:wait(function() return trouble end, "an error")
    equal(result, nil)
    assert(trouble:find("is no IP address", 1, true), trouble)
  end)

  test("L25 connections outlive their " .. which, function(test)
    local server = server(test)
    server:listen(0, "127.0.0.1")
    local socket = dial(test, server)
    if class == net.SslServer then
      socket:abort()
      socket = test:socket(net.SslSocket)
      socket.ssl_configuration = harness.pki.trusting()
      socket:connect_encrypted("localhost", server.port)
    end
    assert(server:wait_for_new_connection())
    local accepted = test:keep(server:next_pending_connection())
    server:close()
    for index, object in ipairs(test.objects) do
      if object == server then table.remove(test.objects, index) end
    end
    local gone = setmetatable({ server }, { __mode = "v" })
    server = nil
    collectgarbage()
    collectgarbage()
    equal(gone[1], nil, "the server")
    accepted:write_string("still here")
    assert(socket:wait_for_ready_read())
    equal(socket:read_all_string(), "still here")
  end)
end

test("a client that says nothing is not waited for", function(test)
  local server = test:keep(net.SslServer.new())
  server.ssl_configuration = harness.pki.configuration()
  equal(server.deadlines.handshake, 10000)
  server.deadlines = { handshake = 50 }
  server:listen(0, "127.0.0.1")
  local silent = test:socket()
  silent:connect("127.0.0.1", server.port)
  local accepted = test:accept(server)
  assert(accepted:wait_for_disconnected())
  equal(accepted.error, net.TcpSocket.SOCKET_TIMEOUT_ERROR)
  equal(accepted.ending.cause, "timeout_handshake")
end)

test("L24 what the machine lacks is told by accept_error_handler", function(test)
  -- An interpreter that may open few descriptors; the connections come from here.
  local path = harness.folder .. "/few.lua"
  harness.write_file(path, [[
    local iomodules = require "iomodules"
    local server = iomodules.net.TcpServer.new()
    local kept = {}
    server.new_connection_handler = function(self) kept[#kept + 1] = self:next_pending_connection() end
    server.accept_error_handler = function(self, number)
      print("accept_error " .. number .. " " .. self.error_string)
      iomodules.stop()
    end
    iomodules.run(function()
      assert(server:listen(0, "127.0.0.1"))
      print(server.port)
      io.stdout:flush()
    end)
  ]])
  local run = io.popen(("ulimit -n 24; exec %s %s 2>&1"):format(harness.interpreter, path))
  local port = tonumber(run:read("*l"))
  local sockets = {}
  for number = 1, 30 do
    sockets[number] = test:socket()
    sockets[number]:connect("127.0.0.1", port)
  end
  for _ = 1, 5 do iomodules.run_once(20) end
  local said = run:read("*l")
  run:close()
  equal(said, "accept_error 4 Too many open files (EMFILE)")
end)
