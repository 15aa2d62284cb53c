-- Rows L23 and L26: who may call what where, handlers that raise, and the garbage collector.

local harness = require "harness"
local iomodules = require "iomodules"
local net = iomodules.net

local test, outside, equal, raises = harness.test, harness.outside, harness.equal, harness.raises
local TcpSocket = net.TcpSocket

outside("L23 outside of handlers a method that has a twin raises an error that names it", function(test)
  local near = test:pair()
  local server = test:server()
  local calls = {
    { near, "read_string" }, { near, "read_bytes" }, { near, "read_line_string" }, { near, "read_line_bytes" },
    { near, "read_all_string" }, { near, "read_all_bytes" }, { near, "peek_string" }, { near, "peek_bytes" },
    { near, "write_string", "x" }, { near, "write_bytes", {} }, { near, "seek", 1 }, { near, "reset" },
    { near, "open", 1 }, { near, "bind", 0 }, { server, "listen", 0 }, { server, "next_pending_connection" },
    { test:server(net.SslServer), "next_pending_secure_connection" },
  }
  for _, call in ipairs(calls) do
    local object, name, argument = call[1], call[2], call[3]
    raises(name .. " may be called inside a handler only: call " .. name .. "_async here", object[name], object, argument)
  end
  equal(near.bytes_to_write, 0)
end)

outside("L23 a callback is no handler", function(test)
  local near = test:pair()
  local fine, trouble
  near:read_string_async(nil, function(self) fine, trouble = pcall(self.read_string, self) end)
  test:wait(function() return fine ~= nil end, "a callback")
  equal(fine, false)
  assert(tostring(trouble):find("read_string_async", 1, true), trouble)
end)

outside("L23 twins, and methods without one, may be called anywhere", function(test)
  local server = test:server()
  local socket = test:socket()
  local order = {}
  socket:connect("127.0.0.1", server.port)
  socket:write_string_async("hello", function(self, count)
    equal(self, socket)
    order[#order + 1] = "written " .. count
  end)
  socket.connected_handler = function() order[#order + 1] = "connected" end
  local far = test:accept(server)
  local heard
  far.ready_read_handler = function(self)
    -- The handler comes before the callback that was asked for in it.
    self:read_all_string_async(function(_, data) heard = data end)
    order[#order + 1] = "ready_read"
  end
  test:wait(function() return heard end, "data")
  equal(heard, "hello")
  equal(order, { "written 5", "connected", "ready_read" })
end)

outside("L23 the waits of scripts may be called anywhere", function(test)
  local server = test:server()
  local socket = test:socket()
  equal(socket:wait_for_connected(0), false)
  socket:connect("127.0.0.1", server.port)
  equal(socket:wait_for_connected(5000), true)
  equal(server:wait_for_new_connection(5000), true)
  equal(socket:wait_for_ready_read(20), false)
  equal(socket:wait_for_bytes_written(0), true)
  socket:abort()
  equal(socket:wait_for_disconnected(0), true)
  equal(socket:wait_for_ready_read(5000), false, "nothing comes any more")
  server:close()
  equal(server:wait_for_new_connection(5000), false)
  raises("no time", socket.wait_for_connected, socket, 0 / 0)
end)

test("L23 run calls what it is given as a handler, and returns when all is over", function(test)
  local path = harness.folder .. "/run.lua"
  harness.write_file(path, [[
    local iomodules = require "iomodules"
    iomodules.run()
    iomodules.run(function()
      local server = iomodules.net.TcpServer.new()
      server:listen(0, "127.0.0.1")
      local socket = iomodules.net.TcpSocket.new()
      socket:connect("127.0.0.1", server.port)
      socket:write_string("one line\n")
      server.new_connection_handler = function(self)
        local far = self:next_pending_connection()
        self:close()
        far.ready_read_handler = function(far)
          io.write(far:read_line_string())
          far:disconnect()
        end
      end
    end)
    print(pcall(iomodules.run, function() error("its own error", 0) end))
  ]])
  local said = harness.script(("dofile %q"):format(path))
  assert(said:find("^one line\nfalse\t"), said)
  assert(said:find("its own error", 1, true) and said:find("exit 0", 1, true), said)
end)

test("L26 a handler that raises stops nothing, and is reported", function(test)
  local near, far = test:pair()
  local raised = test:expect_raised()
  local reads = 0
  near.ready_read_handler = function(self)
    reads = reads + 1
    self:read_all_string()
    if reads == 1 then error("the first is one too many") end
    error({ "no text" })
  end
  far:write_string("first")
  test:wait(function() return reads == 1 end, "the first")
  far:write_string("second")
  test:wait(function() return reads == 2 end, "the second")
  equal(#raised, 2)
  assert(raised[1]:find("^ready_read_handler: ") and raised[1]:find("one too many", 1, true), raised[1])
  assert(raised[1]:find("handlers.lua", 1, true), "it tells where: " .. raised[1])
  near:read_string_async(nil, function() error("a callback, too") end)
  test:wait(function() return #raised == 3 end, "the third")
  assert(raised[3]:find("the callback of read_string_async", 1, true), raised[3])
  equal(near.state, TcpSocket.CONNECTED_STATE)
end)

test("L26 without error_handler, and if that raises, it is told to standard error", function(test)
  local said = harness.script([[
    local iomodules = require "iomodules"
    local socket = iomodules.net.TcpSocket.new()
    local count = 0
    socket.error_handler = function() count = count + 1; error("raised " .. count) end
    local function fail()
      socket:connect("nobody.invalid", 1)
      iomodules.run()
    end
    fail()
    iomodules.error_handler = function() error("and again") end
    fail()
    iomodules.error_handler = function(text, place) print("told", place, (text:match("raised 3"))) end
    fail()
  ]])
  assert(said:find("iomodules: error in error_handler: .*raised 1.*raised 2"), said)
  assert(said:find("told\terror_handler\traised 3", 1, true), said)
  assert(said:find("exit 0", 1, true), said)
end)

test("L26 a handler may end its own connection", function(test)
  for _, ends in ipairs { "disconnect", "abort", "close" } do
    for _, handler in ipairs { "connected_handler", "ready_read_handler", "error_handler", "state_changed_handler" } do
      local server = test:server()
      local socket = test:socket()
      local calls = 0
      socket[handler] = function(self)
        calls = calls + 1
        self[ends](self)
      end
      socket:connect("127.0.0.1", server.port)
      server.new_connection_handler = function(self)
        local far = test:keep(self:next_pending_connection())
        far:write_string("hello")
        far:disconnect()
      end
      assert(socket:wait_for_disconnected(), handler)
      iomodules.run_once(0)
      assert(calls > 0, handler)
      equal(socket.state, TcpSocket.UNCONNECTED_STATE)
    end
  end
end)

test("L26 a handler may wait, and others are called meanwhile", function(test)
  local near, far = test:pair()
  local whole
  near.ready_read_handler = function(self)
    if whole then return end
    whole = ""
    while #whole < 10 do
      whole = whole .. self:read_all_string()
      if #whole < 10 then
        far:write_string("67890")
        assert(self:wait_for_ready_read(5000))
      end
    end
  end
  far:write_string("12345")
  test:wait(function() return whole and #whole == 10 end, "10 bytes")
  equal(whole, "1234567890")
end)

test("members that there are not cannot be set", function(test)
  local socket, server = test:socket(net.SslSocket), net.TcpServer.new()
  raises("did you mean connected_handler", function() socket.connected = print end)
  raises("has no member \"state\" that can be set", function() socket.state = 3 end)
  raises("connected_handler is a function or nil, not a string", function() socket.connected_handler = "f" end)
  raises("has no member \"encrypted_handler\"", function() net.TcpSocket.new().encrypted_handler = print end)
  raises("has no member \"connected_handler\"", function() server.connected_handler = print end)
  equal(socket.nothing, nil)
  socket.connected_handler = print
  equal(socket.connected_handler, print)
  socket.connected_handler = nil
  equal(socket.connected_handler, nil)
  equal(tostring(socket), "net.SslSocket (unconnected, not encrypted)")
end)

test("static members are those of the class and its parents, and of each object", function(test)
  equal(net.SslSocket.SSL_SERVER_MODE, 2)
  equal(net.SslSocket.CLOSING_STATE, 6)
  equal(net.SslSocket.READ_WRITE_MODE, 3)
  equal(net.TcpSocket.SSL_SERVER_MODE, nil)
  equal(net.Stream.READ_WRITE_MODE, iomodules.Stream.READ_WRITE_MODE)
  equal(test:socket(net.SslSocket).SSL_HANDSHAKE_FAILED_ERROR, 13)
end)

test("the values are those that the book tells", function()
  local book = harness.read_file(harness.root .. "/../../docs/lua.md")
  local told = 0
  for name, value in book:gmatch("`[%w.]-([%u_%d]+)` (%-?%d+)") do
    local is = net.SslSocket[name] or net.SslKey[name] or net.SslEncoding[name]
    equal(is, tonumber(value), name)
    told = told + 1
  end
  assert(told >= 35, told)
end)

test("objects in use are not collected, and those that are not are", function(test)
  local count, live = 0, setmetatable({}, { __mode = "k" })
  local server = test:server(net.SslServer)
  local configuration = harness.pki.trusting()
  server.new_connection_handler = function(self)
    collectgarbage()
    local far = self:next_pending_connection()
    live[far] = true
    far.ready_read_handler = function(far)
      collectgarbage()
      far:write_string(far:read_all_string())
    end
  end
  local rounds = 40
  for _ = 1, rounds do
    local socket = net.SslSocket.new()
    live[socket] = true
    socket.ssl_configuration = configuration
    socket.encrypted_handler = function() collectgarbage() end
    socket.ready_read_handler = function(self)
      -- It is held by its own handler, too.
      assert(self == socket)
      if self:read_all_string() == "echo" then self:disconnect() end
      collectgarbage()
    end
    socket.disconnected_handler = function()
      count = count + 1
      collectgarbage()
    end
    socket:connect_encrypted("localhost", server.port)
    socket:write_string("echo")
    -- Some are dropped before they have begun.
    net.SslSocket.new():bind(0)
    net.TcpServer.new()
  end
  collectgarbage()
  test:wait(function() return count == rounds end, rounds .. " connections")
  test:wait(function()
    collectgarbage()
    return next(live) == nil
  end, "the collector")
end)

test("an object that is dropped while it connects, or waits, is no harm", function(test)
  local server = test:server()
  for _ = 1, 20 do
    local socket = net.TcpSocket.new()
    socket:connect("127.0.0.1", server.port)
    socket:write_string_async("x", function() end)
    socket:abort()
    socket = nil
    collectgarbage()
    iomodules.run_once(1)
    collectgarbage()
  end
end)
