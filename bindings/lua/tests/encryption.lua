-- Rows L03 to L07, L09 and L28: encryption, at once and later, as both ends, with what goes wrong.

local harness = require "harness"
local iomodules = require "iomodules"
local net = iomodules.net
local pki = harness.pki

local test, equal, raises = harness.test, harness.equal, harness.raises
local SslSocket, TcpSocket, Stream = net.SslSocket, net.TcpSocket, net.Stream

local function client(test, configuration)
  local socket = test:socket(SslSocket)
  socket.ssl_configuration = configuration or pki.trusting()
  return socket
end

-- Two ends, both encrypted.
local function encrypted_pair(test)
  local server = test:server(net.SslServer)
  local near = client(test)
  near:connect_encrypted("localhost", server.port, Stream.READ_WRITE_MODE)
  local far = test:accept(server)
  test:wait(function() return near.encrypted and far.encrypted end, "encryption")
  return near, far
end

test("L03 L04 connect_encrypted connects, and then encrypts", function(test)
  local server = test:server(net.SslServer)
  local socket = client(test)
  local told = harness.record(socket, "mode_changed", "encrypted")
  local encrypted = {}
  socket.connected_handler = function(self)
    told[#told + 1] = "connected"
    encrypted[1] = self.encrypted
  end
  socket.encrypted_handler = function(self)
    told[#told + 1] = "encrypted"
    encrypted[2] = self.encrypted
  end
  socket:connect_encrypted("localhost", server.port, Stream.READ_WRITE_MODE)
  equal(socket.encrypted, false)
  test:accept(server)
  assert(socket:wait_for_encrypted())
  equal(told, { "state_changed 1", "host_found", "state_changed 2", "state_changed 3", "connected",
    "mode_changed 1", "encrypted" })
  equal(encrypted[1], false, "encrypted in connected_handler")
  equal(encrypted[2], true, "encrypted in encrypted_handler")
  equal(socket.mode, SslSocket.SSL_CLIENT_MODE)
  equal(socket.facts.tls.version, "1.3")
  equal(socket.facts.tls.verification, "verified")
  equal(socket.facts.tls.verified_name, "localhost")
  equal(socket.facts.tls.peer_chain[1].subject, "CN=localhost")
end)

test("L03 the example of the seed, with net as a local", function(test)
  local server = test:server(net.SslServer)
  local began = false
  local socket = iomodules.net.SslSocket.new()
  socket.ssl_configuration = pki.trusting()
  socket.encrypted_handler = function() began = true end
  socket:connect_encrypted("localhost", server.port, net.Stream.READ_WRITE_MODE)
  test:keep(socket)
  test:accept(server)
  test:wait(function() return began end, "encrypted_handler")
end)

test("L05 what is written before waits, and goes encrypted and in order", function(test)
  local server = test:server(net.SslServer)
  local socket = client(test)
  socket:connect_encrypted("localhost", server.port)
  equal(socket:write_string("first, "), 7)
  equal(socket.bytes_to_write, 7)
  socket.connected_handler = function(self) self:write_string("second, ") end
  socket.encrypted_handler = function(self)
    equal(self.bytes_to_write, 15)
    self:write_string("third")
  end
  local far = test:accept(server)
  local collected = harness.collect(far)
  test:wait(function() return #collected() == 20 end, "20 bytes")
  equal(collected(), "first, second, third")
  test:wait(function() return socket.bytes_to_write == 0 end, "0 bytes to write")
end)

test("L05 nothing of it leaves in plaintext", function(test)
  local server = test:server()
  local socket = client(test)
  socket:connect_encrypted("localhost", server.port)
  socket:write_string("a secret that nobody may see")
  local far = test:accept(server)
  local collected = harness.collect(far)
  test:wait(function() return #collected() > 100 end, "a ClientHello")
  for _ = 1, 3 do iomodules.run_once(20) end
  equal(collected():byte(1), 22, "the first byte of a TLS handshake")
  assert(not collected():find("secret", 1, true))
  equal(socket.bytes_to_write, 28)
end)

test("L06 start_client_encryption has no effect before and after its time", function(test)
  local server = test:server()
  local socket = client(test)
  local told = harness.record(socket, "mode_changed", "encrypted")
  socket:start_client_encryption()
  socket:connect("localhost", server.port)
  socket:start_client_encryption()
  local far = test:accept(server)
  assert(socket:wait_for_connected())
  equal(socket.mode, SslSocket.UNENCRYPTED_MODE)
  far:write_string("still plain\n")
  assert(socket:wait_for_ready_read())
  equal(socket:read_all_string(), "still plain\n")
  equal(told, { "state_changed 1", "host_found", "state_changed 2", "state_changed 3", "connected" })

  local near = encrypted_pair(test)
  told = harness.record(near, "mode_changed", "encrypted")
  near:start_client_encryption()
  near:start_server_encryption()
  for _ = 1, 3 do iomodules.run_once(20) end
  equal(#told, 0)
  equal(near.encrypted, true)
end)

test("L08 an unencrypted SslSocket has every member of a TcpSocket, with the same value", function(test)
  local plain, ssl = test:socket(TcpSocket), test:socket(SslSocket)
  local book = harness.read_file(harness.root .. "/../../docs/lua.md")
  local members, count = book:match("### Stream\n(.-)\n### SslSocket\n"), 0
  for row in members:gmatch("\n| (`.-) |") do
    for member in row:gsub("%b()", ""):gmatch("[%l_]+") do
      local is, should = ssl[member], plain[member]
      equal(type(is), type(should), member)
      if type(is) ~= "table" and type(is) ~= "function" then equal(is, should, member) end
      count = count + 1
    end
  end
  assert(count > 50, count)
end)

-- A session of STARTTLS with both ends here: plain lines, the upgrade, lines under TLS.
test("L06 L09 STARTTLS as both ends", function(test)
  local server = test:server()
  local near = client(test)
  near:connect("localhost", server.port)
  local plain = test:accept(server)
  equal(plain.mode, nil, "a TcpSocket has no mode")
  plain:abort()

  -- A SslServer's connections begin encrypted; so the far end is a SslSocket that dials.
  server = test:server()
  local far = test:socket(SslSocket)
  far.ssl_configuration = pki.configuration()
  local told = harness.record(far, "mode_changed", "encrypted")
  far:connect("127.0.0.1", server.port)
  local between = test:accept(server)
  local other = test:server()
  near:abort()
  near = client(test)
  near:connect("localhost", other.port)
  local beyond = test:accept(other)
  -- Two plain connections, joined here: what one end says, the other hears.
  between.ready_read_handler = function(self) beyond:write_string(self:read_all_string()) end
  beyond.ready_read_handler = function(self) between:write_string(self:read_all_string()) end

  far.ready_read_handler = function(self)
    if self.encrypted then
      self:write_string("under TLS: " .. self:read_line_string())
    elseif self.can_read_line then
      equal(self:read_line_string(), "STARTTLS\n")
      self:write_string("go ahead\n")
      self:start_server_encryption()
    end
  end
  local answer
  near.ready_read_handler = function(self)
    if self.encrypted then
      answer = self:read_all_string()
    elseif self.can_read_line then
      equal(self:read_line_string(), "go ahead\n")
      self:start_client_encryption()
      self:write_string("secret\n")
    end
  end
  near:write_string("STARTTLS\n")
  test:wait(function() return answer end, "an answer under TLS")
  equal(answer, "under TLS: secret\n")
  equal(far.mode, SslSocket.SSL_SERVER_MODE)
  equal(far.encrypted, true)
  equal({ told[#told - 1], told[#told] }, { "mode_changed 2", "encrypted" })
  equal(near.facts.tls.sni, "localhost")
  equal(far.facts.tls.sni, "localhost")
  equal(near.facts.plain, nil)
end)

test("L07 what was said in plaintext before is not taken for what is said under TLS", function(test)
  for _, at_once in ipairs { true, false } do
    local server = test:server()
    local socket = client(test)
    local told = harness.record(socket, "mode_changed", "encrypted")
    local before, after = "", ""
    -- Its first words are what the upgrade waits for; the rest stands behind them in the same piece.
    socket.ready_read_handler = function(self)
      if self.mode ~= 0 then
        after = after .. self:read_all_string()
      else
        before = before .. self:read_line_string()
        if at_once then self:start_client_encryption() end
      end
    end
    socket:connect("localhost", server.port)
    local far = test:accept(server)
    far:write_string("a OK begin TLS\r\nb OK injected\r\n")
    test:wait(function() return before ~= "" end, "the answer")
    if not at_once then socket:start_client_encryption() end
    assert(socket:wait_for_disconnected())
    equal(before, "a OK begin TLS\r\n")
    equal(after, "")
    equal(socket.bytes_available, 0)
    equal(socket.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
    assert(socket.error_string:find("may be an injection", 1, true), socket.error_string)
    equal({ told[#told - 2], told[#told - 1], told[#told] }, { "error 13", "state_changed 0", "disconnected" })
    assert(far:wait_for_disconnected())
    equal(far:read_all_string(), "", "nothing is sent in plaintext")
  end
end)

test("L07 what comes where TLS is to begin, and is none, ends the connection", function(test)
  local server = test:server()
  local socket = client(test)
  socket.ready_read_handler = function(self)
    if self.can_read_line then
      self:read_line_string()
      self:start_client_encryption()
    end
  end
  socket:connect("localhost", server.port)
  local far = test:accept(server)
  far:write_string("go ahead\n")
  -- What answers the ClientHello is no TLS.
  far.ready_read_handler = function(self) self:write_string("b OK injected\r\n") end
  assert(socket:wait_for_disconnected())
  equal(socket.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
  assert(socket.error_string:find("does not speak TLS", 1, true), socket.error_string)
  equal(socket:read_all_string(), "")
end)

test("L07 where the peer has closed when TLS is to begin, nothing leaves in plaintext", function(test)
  local server = test:server()
  local socket = client(test)
  socket:connect("localhost", server.port)
  local far = test:accept(server)
  local collected = harness.collect(far)
  far:write_string("go ahead\n")
  assert(socket:wait_for_ready_read())
  socket:read_all_string()
  -- The connection has met the end; its script may not have heard of it yet.
  far:disconnect()
  while not socket.facts.first_goodbye do iomodules.run_once(0) end
  socket:start_client_encryption()
  socket:write_string("a secret that nobody may see")
  assert(socket:wait_for_disconnected())
  equal(socket.encrypted, false)
  assert(far:wait_for_disconnected())
  equal(collected(), "")
end)

test("L09 a server's connections are encrypted as the server", function(test)
  local server = test:server(net.SslServer)
  local peer = test:peer(("printf 'hello\\n' | openssl s_client -quiet -verify_return_error -CAfile %s/ca.pem "
    .. "-servername localhost -connect 127.0.0.1:%d"):format(harness.folder, server.port))
  test:wait(function() return server.has_pending_connections end, "a connection")
  local socket = server:next_pending_secure_connection()
  test:keep(socket)
  equal(socket.state, TcpSocket.CONNECTED_STATE)
  equal(socket.encrypted, false)
  local told = harness.record(socket, "mode_changed", "encrypted")
  local collected = harness.collect(socket)
  test:wait(function() return collected() == "hello\n" end, "a line from openssl")
  equal({ told[1], told[2] }, { "mode_changed 2", "encrypted" })
  equal(socket.mode, SslSocket.SSL_SERVER_MODE)
  equal(socket.encrypted, true)
  socket:write_string("hello openssl\n")
  test:hears(peer, "(hello openssl)")
  equal(server:next_pending_secure_connection(), nil)
end)

test("L09 a pending connection by the plain method is encrypted as well", function(test)
  local server = test:server(net.SslServer)
  local near = client(test)
  near:connect_encrypted("localhost", server.port)
  assert(server:wait_for_new_connection())
  local far = test:keep(server:next_pending_connection())
  assert(near:wait_for_encrypted())
  test:wait(function() return far.encrypted end, "encryption")
end)

test("L11 L19 under TLS bytes are counted in plaintext, and a clean end is one", function(test)
  local near, far = encrypted_pair(test)
  local written, alerts = 0, {}
  near.bytes_written_handler = function(_, count) written = written + count end
  far.alert_received_handler = function(_, level, type, text) alerts[1] = level .. " " .. type .. " " .. text end
  far.alert_sent_handler = function(_, level, type) alerts[2] = level .. " " .. type end
  local _, count = harness.collect(far)
  local bulk = ("z"):rep(3 * 1024 * 1024)
  near:write_string(bulk)
  near:disconnect()
  assert(near:wait_for_disconnected())
  equal(written, #bulk)
  assert(far:wait_for_disconnected())
  equal(count(), #bulk)
  equal(far.error, TcpSocket.REMOTE_HOST_CLOSED_ERROR)
  equal(near.ending.code, "finished")
  equal(far.ending.code, "finished")
  assert(near.ending.facts.bytes.wire_written > #bulk)
  equal(alerts, { "0 0 close_notify (0)", "0 0" })
  equal(near.mode, SslSocket.UNENCRYPTED_MODE)
  equal(near.encrypted, false)
end)

test("L11 small pieces leave together", function(test)
  local near, far = encrypted_pair(test)
  local _, count = harness.collect(far)
  local before = near.facts.bytes.wire_written
  for _ = 1, 1000 do near:write_string("0123456789") end
  test:wait(function() return count() == 10000 end, "10 000 bytes")
  -- A record of its own for each would be 22 bytes more for each.
  local wire = near.facts.bytes.wire_written - before
  assert(wire < 10200, wire)
end)

test("L19 a connection that is cut off under TLS is told as such", function(test)
  local near, far = encrypted_pair(test)
  far:write_string("the beginning of")
  assert(near:wait_for_ready_read())
  far:abort()
  assert(near:wait_for_disconnected())
  equal(near:read_all_string(), "the beginning of")
  equal(near.error, TcpSocket.REMOTE_HOST_CLOSED_ERROR)
  equal(near.ending.code, "ERR_TLS_SOCKET_CLOSE")
  equal(near.ending.clean, false)
  equal(near.ending.blame, "peer")
end)

test("a certificate that nobody vouches for is refused, and told", function(test)
  local server = test:server(net.SslServer)
  local socket = client(test, pki.trusting "other")
  local told = harness.record(socket, "mode_changed", "encrypted")
  local alerts, faults = {}, {}
  socket.alert_sent_handler = function(_, level, type, text) alerts[1] = level .. " " .. type .. " " .. text end
  socket.ssl_errors_handler = function(_, list)
    for _, fault in ipairs(list) do faults[#faults + 1] = fault.check .. ": " .. fault.message end
  end
  socket:connect_encrypted("localhost", server.port)
  local far = test:accept(server)
  far.alert_received_handler = function(_, level, type, text) alerts[2] = level .. " " .. type .. " " .. text end
  assert(not socket:wait_for_encrypted())
  equal(alerts[1], "1 48 unknown_ca (48)")
  equal(#faults, 1)
  equal(faults[1]:sub(1, 7), "trust: ")
  equal({ told[#told - 3], told[#told - 2], told[#told - 1], told[#told] },
    { "error 13", "state_changed 0", "mode_changed 0", "disconnected" })
  equal(socket.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
  equal(socket.ending.code, "connectFailed")
  equal(socket.ending.cause, "ERR_TLS_FATAL_ERROR")
  assert(far:wait_for_disconnected())
  equal(alerts[2], "1 48 unknown_ca (48)")
  equal(far.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
end)

test("ssl_errors_handler lets in whom it names, and nobody else", function(test)
  local server = test:server(net.SslServer)
  -- The name is wrong, and nobody vouches for it.
  local function dial(ignore)
    local socket = client(test, pki.trusting "other")
    socket.peer_verify_name = "wrong.example"
    socket.ssl_errors_handler = ignore
    socket:connect_encrypted("127.0.0.1", server.port)
    test:accept(server)
    return socket:wait_for_encrypted(), socket
  end
  local let_in, socket = dial(function(self, list)
    equal(#list, 2)
    self:danger_ignore_ssl_errors()
  end)
  equal(let_in, true)
  equal(socket.facts.tls.verification, "danger")
  equal(dial(function(self) self:danger_ignore_ssl_errors { "trust", "name" } end), true)
  equal(dial(function(self) self:danger_ignore_ssl_errors { "trust" } end), false)
  equal(dial(function() end), false)
  raises("inside ssl_errors_handler only", socket.danger_ignore_ssl_errors, socket)
end)

test("a wrong name is refused, and the one to verify may be another than the host's", function(test)
  local server = test:server(net.SslServer)
  server.ssl_configuration = pki.configuration "elsewhere"
  local socket = client(test)
  socket:connect_encrypted("localhost", server.port)
  test:accept(server)
  assert(not socket:wait_for_encrypted())
  assert(socket.error_string:find("elsewhere.example", 1, true), socket.error_string)
  socket.peer_verify_name = "elsewhere.example"
  socket:connect_encrypted("localhost", server.port)
  test:accept(server)
  assert(socket:wait_for_encrypted(), socket.error_string)
  equal(socket.facts.tls.verified_name, "elsewhere.example")
end)

test("L28 a server that speaks only TLS 1.1 is refused, and the error says why", function(test)
  local peer = test:peer(("exec openssl s_server -accept 127.0.0.1:0 -cert %s/localhost.pem -key %s/localhost.key "
    .. "-tls1_1 -www -cipher DEFAULT@SECLEVEL=0"):format(harness.folder, harness.folder))
  local port = tonumber(test:hears(peer, "ACCEPT [%d.]+:(%d+)"))
  local socket = client(test)
  socket:connect_encrypted("localhost", port)
  assert(not socket:wait_for_encrypted())
  equal(socket.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
  assert(socket.error_string:find("protocol_version", 1, true) or socket.error_string:find("TLS 1.1", 1, true),
    socket.error_string)
end)

test("L28 a client that speaks only TLS 1.1 is refused, and the error says why", function(test)
  local server = test:server(net.SslServer)
  local peer = test:peer(("openssl s_client -connect 127.0.0.1:%d -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null")
    :format(server.port))
  local socket = test:accept(server)
  assert(socket:wait_for_disconnected())
  equal(socket.error, TcpSocket.SSL_HANDSHAKE_FAILED_ERROR)
  assert(socket.error_string:find("speaks only SSL 3, TLS 1.0 or TLS 1.1", 1, true), socket.error_string)
  test:hears(peer, "alert protocol version")
end)

test("L28 no version before TLS 1.2 can be asked for", function()
  local configuration = net.SslConfiguration.new()
  equal(configuration.min_version, "1.2")
  equal(configuration.max_version, "1.3")
  for _, version in ipairs { "SSLv3", "1.0", "1.1" } do
    raises("is not spoken here: SSL 3, TLS 1.0 and TLS 1.1", function() configuration.min_version = version end)
  end
end)

test("L28 a version that is asked for is the one that is spoken", function(test)
  local server = test:server(net.SslServer)
  local configuration = pki.trusting()
  configuration.max_version = "1.2"
  local socket = client(test, configuration)
  socket:connect_encrypted("localhost", server.port)
  test:accept(server)
  assert(socket:wait_for_encrypted())
  equal(socket.facts.tls.version, "1.2")
end)
