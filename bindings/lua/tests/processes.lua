-- What takes an interpreter of its own: its end, its signals, and loops of others.

local harness = require "harness"
local net = require("iomodules").net

local test, equal = harness.test, harness.equal

-- Leaves everything open: a server, connections that wait, both ends of one, and callbacks.
local BUSY = [[
  local iomodules = require "iomodules"
  local net = iomodules.net
  server = net.TcpServer.new()
  iomodules.run(function()
    server:listen(0, "127.0.0.1")
    for number = 1, 5 do
      local socket = net.SslSocket.new()
      socket.ready_read_handler = function() socket:read_all_string() end
      socket:connect("127.0.0.1", server.port)
      assert(socket:wait_for_connected())
    end
    socket = server:next_pending_connection()
    socket:write_string(("x"):rep(10000000))
    iomodules.run_once(10)
    iomodules.stop()
  end)
  socket:read_all_string_async(print)
]]

test("an interpreter ends well with everything open", function()
  for _, ending in ipairs { "", "os.exit(0, true)", "os.exit(0)", "collectgarbage()" } do
    equal(harness.script(BUSY .. ending), "exit 0\n", ending)
  end
end)

test("a handler is never called behind the script's end", function()
  local said = harness.script([[
    local iomodules = require "iomodules"
    local socket = iomodules.net.TcpSocket.new()
    socket.error_handler = function() print("told") end
    socket:connect("nobody.invalid", 1)
    iomodules.run_once(0)
  ]])
  equal(said, "exit 0\n")
end)

test("an interpreter that is interrupted in run ends", function(test)
  local path = harness.folder .. "/endless.lua"
  harness.write_file(path, [[
    local iomodules = require "iomodules"
    iomodules.run(function()
      local server = iomodules.net.TcpServer.new()
      assert(server:listen(0, "127.0.0.1"))
      io.stderr:write("it runs\n")
    end)
  ]])
  local peer = test:peer(("sh -c '%s %s; echo exit $?'"):format(harness.interpreter, path))
  test:hears(peer, "it runs")
  -- The interpreter is the shell's child.
  local id = harness.read_file(("/proc/%s/task/%s/children"):format(peer.id, peer.id)):match("%d+")
  os.execute("kill -INT " .. id)
  test:hears(peer, "interrupted!.*exit 1")
end)

test("a peer that is gone ends a connection, and not the process", function()
  local said = harness.script([[
    local iomodules = require "iomodules"
    local net = iomodules.net
    iomodules.run(function()
      local server = net.TcpServer.new()
      server:listen(0, "127.0.0.1")
      for _ = 1, 5 do
        local near = net.TcpSocket.new()
        near:connect("127.0.0.1", server.port)
        server:wait_for_new_connection()
        local far = server:next_pending_connection()
        far.read_buffer_size = 1
        near:write_string(("x"):rep(60000000))
        -- The peer ends, and then resets what is still on its way: a write may meet that as SIGPIPE.
        far:disconnect()
        near.error_handler = function() far:abort() end
        near:wait_for_disconnected()
        assert(near.error == 1 and near.bytes_to_write == 0)
      end
      server:close()
    end)
    -- The threads of the module get no signals: no SIGPIPE, and none that is the interpreter's.
    local threads, masks = io.popen("cat /proc/$PPID/task/*/status"), {}
    for name, mask in threads:read("*a"):gmatch("Name:\t(%w+).-SigBlk:\t%x+(%x)%x%x%x\n") do
      if name == "iomodules" then masks[#masks + 1] = tonumber(mask, 16) % 2 end
    end
    threads:close()
    print(table.concat(masks, " "))
  ]])
  assert(said:find("^1[ 1]*\nexit 0\n$"), said)
end)

-- The loop is libuv's here; it looks at one descriptor.
test("L23 luv runs the loop by its descriptor", function()
  if not pcall(require, "luv") then error("Debian's lua-luv is missing") end
  local said = harness.script([[
    local uv, iomodules = require "luv", require "iomodules"
    local net = iomodules.net
    local poll = uv.new_poll(iomodules.descriptor())
    poll:start("r", function() while iomodules.run_once(0) do end end)

    local ticks = 0
    local timer = uv.new_timer()
    timer:start(1, 1, function() ticks = ticks + 1 end)

    local server = net.TcpServer.new()
    local socket = net.TcpSocket.new()
    server.new_connection_handler = function(self)
      local far = self:next_pending_connection()
      far.ready_read_handler = function(far) far:write_string(far:read_all_string():upper()) end
    end
    socket.ready_read_handler = function(self)
      print(self:read_all_string())
      self:disconnect()
    end
    socket.disconnected_handler = function()
      server:close()
      poll:close()
      timer:close()
    end
    server:listen_async(0, "127.0.0.1", function(server)
      socket:connect("127.0.0.1", server.port)
      -- Written by a callback of luv's, not of ours.
      local once = uv.new_timer()
      once:start(5, 0, function()
        socket:write_string_async("by luv", function() end)
        once:close()
      end)
    end)
    uv.run()
    print(ticks > 0)
  ]])
  equal(said, "BY LUV\ntrue\nexit 0\n")
end)

test("the first program of the README does what it says", function()
  local readme = harness.read_file(harness.root .. "/README.md")
  local program, output = readme:match("```lua\n(.-)```.-```text\n(.-)```")
  assert(program, "the README begins with a program and what it prints")
  equal(harness.script(program), output .. "exit 0\n")
end)

test("the programs of the book are Lua", function()
  local book = harness.read_file(harness.root .. "/../../docs/lua.md")
  local count = 0
  for program in book:gmatch("```lua\n(.-)```") do
    assert((loadstring or load)(program))
    count = count + 1
  end
  assert(count >= 3, count)
end)
