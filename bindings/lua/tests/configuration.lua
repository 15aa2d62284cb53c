-- Row L27: certificates, keys and configurations.

local harness = require "harness"
local net = require("iomodules").net
local pki = harness.pki

local test, equal, raises = harness.test, harness.equal, harness.raises
local SslSocket, SslKey, SslCertificate = net.SslSocket, net.SslKey, net.SslCertificate
local PEM, DER = net.SslEncoding.PEM, net.SslEncoding.DER

test("L27 a certificate is read from PEM and DER, and null if it is none", function()
  local certificate = SslCertificate.new(pki.read "localhost.pem")
  equal(certificate.null, false)
  equal(certificate.facts.subject, "CN=localhost")
  equal(certificate.facts.issuer, "CN=Test CA")
  equal(certificate.facts.names[1].dns, "localhost")
  equal(SslCertificate.new(pki.read "localhost.der", DER).null, false)
  local bad = {
    SslCertificate.new(""),
    SslCertificate.new("no certificate"),
    SslCertificate.new(pki.read "localhost.key"),
    SslCertificate.new(pki.read "localhost.der"),
    SslCertificate.new(pki.read "localhost.pem", DER),
    SslCertificate.new(pki.read("localhost.pem"):gsub("MII", "!!!", 1), PEM),
  }
  for _, null in ipairs(bad) do
    equal(null.null, true)
    assert(#null.error_string > 0)
    equal(null.facts, nil)
  end
  raises("2 is no encoding", SslCertificate.new, "", 2)
end)

test("L27 a key is read in every form, and null if it is none", function()
  local function key(name, algorithm, ...)
    return SslKey.new(pki.read(name), algorithm, ...)
  end
  local good = {
    key("localhost.key", SslKey.EC),
    key("localhost.key.der", SslKey.EC, DER),
    key("localhost.key", SslKey.EC, PEM, SslKey.PRIVATE),
    key("rsa.key", SslKey.RSA),
    key("encrypted.key", SslKey.EC, PEM, SslKey.PRIVATE, "secret"),
    key("rsa.pub", SslKey.RSA, PEM, SslKey.PUBLIC),
    key("ec.pub.der", SslKey.EC, DER, SslKey.PUBLIC),
  }
  for number, read in ipairs(good) do equal(read.null, false, number .. ": " .. read.error_string) end
  equal(good[1].type, SslKey.PRIVATE)
  equal(good[1].algorithm, SslKey.EC)
  equal(good[6].type, SslKey.PUBLIC)
  equal(good[6].algorithm, SslKey.RSA)
  local bad = {
    { SslKey.new("", SslKey.RSA), "" },
    { key("localhost.pem", SslKey.EC), "" },
    { key("localhost.key", SslKey.RSA), "another algorithm" },
    { key("localhost.key", SslKey.DSA), "another algorithm" },
    { key("localhost.key", SslKey.EC, DER), "encoding" },
    { key("localhost.key.der", SslKey.EC), "encoding" },
    { key("encrypted.key", SslKey.EC), "passphrase" },
    { key("encrypted.key", SslKey.EC, PEM, SslKey.PRIVATE, "wrong"), "passphrase" },
    { key("rsa.key", SslKey.RSA, PEM, SslKey.PUBLIC), "PUBLIC KEY" },
    { key("rsa.pub", SslKey.RSA), "" },
    { SslKey.new(("\48\130\1"):rep(9), SslKey.RSA, DER, SslKey.PUBLIC), "" },
  }
  for number, pair in ipairs(bad) do
    equal(pair[1].null, true, tostring(number))
    assert(pair[1].error_string:find(pair[2], 1, true) and #pair[1].error_string > 0,
      number .. ": " .. pair[1].error_string)
  end
  raises("7 is not one of RSA, DSA, EC", SslKey.new, "", 7)
  assert(not tostring(good[1]):find("MI"), "a key is not shown")
end)

-- What both ends know of each other, after a handshake that the configurations allow; else the socket.
local function shake_hands(test, ours, theirs)
  local server = test:server(net.SslServer)
  server.ssl_configuration = theirs
  local socket = test:socket(SslSocket)
  socket.ssl_configuration = ours
  socket:connect_encrypted("localhost", server.port)
  local far = test:accept(server)
  test:wait(function()
    return far.encrypted and socket.encrypted or far.state == 0 or socket.state == 0
  end, "a handshake")
  -- A client's certificate is judged after its handshake is over.
  far:write_string("hello")
  local hears = socket:wait_for_ready_read()
  return hears, socket, far
end

test("L27 clients show a certificate, and servers judge it", function(test)
  local server = pki.configuration("localhost", true)
  local nobody, somebody = pki.trusting(), pki.configuration("client", true)
  local stranger = net.SslConfiguration.new()
  stranger:add_ca_certificate(pki.certificate "ca")
  stranger.local_certificate = pki.certificate "ca"
  stranger.private_key = pki.key "ca"

  -- AUTO on a server asks, and lets in who has none.
  equal(server.peer_verify_mode, SslSocket.AUTO_VERIFY_PEER)
  local hears, _, far = shake_hands(test, nobody, server)
  equal(hears, true)
  equal(far.facts.tls.verification, "anonymous")
  hears, _, far = shake_hands(test, somebody, server)
  equal(hears, true)
  equal(far.facts.tls.verification, "verified")
  equal(far.facts.tls.peer_chain[1].subject, "CN=client")
  equal(shake_hands(test, stranger, server), false)

  server.peer_verify_mode = SslSocket.VERIFY_PEER
  equal(shake_hands(test, somebody, server), true)
  local _, socket = shake_hands(test, nobody, server)
  equal(socket.ending.code, "ERR_TLS_FATAL_ALERT")
  assert(socket.error_string:find("certificate_required", 1, true), socket.error_string)

  server.peer_verify_mode = SslSocket.QUERY_PEER
  equal(shake_hands(test, nobody, server), true)
  hears, _, far = shake_hands(test, stranger, server)
  equal(hears, true)
  equal(far.facts.tls.verification, "danger")

  server.peer_verify_mode = SslSocket.VERIFY_NONE
  hears, _, far = shake_hands(test, somebody, server)
  equal(hears, true)
  equal(far.facts.tls.peer_certificates, 0)
end)

test("L27 a server's connection asks about its client", function(test)
  local server = test:server(net.SslServer)
  server.ssl_configuration = pki.configuration("localhost", true)
  local stranger = pki.trusting()
  stranger.local_certificate, stranger.private_key = pki.certificate "other", pki.key "other"
  for _, let_in in ipairs { true, false } do
    local socket = test:socket(SslSocket)
    socket.ssl_configuration = stranger
    socket:connect_encrypted("localhost", server.port)
    local far = test:accept(server)
    local checks = {}
    far.ssl_errors_handler = function(self, faults)
      for _, fault in ipairs(faults) do checks[#checks + 1] = fault.check end
      if let_in then self:danger_ignore_ssl_errors() end
    end
    equal(far:wait_for_encrypted(), let_in)
    assert(#checks > 0)
  end
end)

test("L27 a client may verify nothing, or only look", function(test)
  local ours = pki.trusting "other"
  equal(shake_hands(test, ours, pki.configuration()), false)
  ours.peer_verify_mode = SslSocket.VERIFY_NONE
  local hears, socket = shake_hands(test, ours, pki.configuration())
  equal(hears, true)
  equal(socket.facts.tls.verification, "danger")
  equal(socket.facts.tls.checks, nil)
  ours.peer_verify_mode = SslSocket.QUERY_PEER
  hears, socket = shake_hands(test, ours, pki.configuration())
  equal(hears, true)
  equal(socket.facts.tls.checks.trust.ignored, "unknown_issuer")
  raises("9 is not one of VERIFY_NONE", function() ours.peer_verify_mode = 9 end)
end)

test("L27 the mode of a socket is its own, and its configuration can be read", function(test)
  local socket, other = test:socket(SslSocket), test:socket(SslSocket)
  socket.peer_verify_mode = SslSocket.QUERY_PEER
  equal(socket.peer_verify_mode, 1)
  equal(socket.ssl_configuration.peer_verify_mode, 1)
  equal(other.peer_verify_mode, 3)
  socket.ssl_configuration:add_ca_certificate(pki.certificate "ca")
  raises("", function() socket.ssl_configuration = 1 end)
end)

test("L27 a change is for the next handshake", function(test)
  local theirs = pki.configuration()
  local ours = pki.trusting()
  local hears, socket = shake_hands(test, ours, theirs)
  equal(hears, true)
  theirs.local_certificate = pki.certificate "elsewhere"
  theirs.private_key = pki.key "elsewhere"
  equal(socket.encrypted, true, "a connection that is up stays so")
  equal(shake_hands(test, ours, theirs), false)
end)

test("L27 sockets with one configuration resume each other's sessions", function(test)
  local server = test:server(net.SslServer)
  local configuration = pki.trusting()
  local resumed = {}
  for number = 1, 2 do
    local socket = test:socket(SslSocket)
    socket.ssl_configuration = configuration
    socket:connect_encrypted("localhost", server.port)
    local far = test:accept(server)
    assert(socket:wait_for_encrypted())
    far:write_string("the ticket comes before this")
    assert(socket:wait_for_ready_read())
    resumed[number] = tostring(socket.facts.tls.resumed)
  end
  equal(resumed, { "false", "true" })
end)

test("L27 a chain and protocols are told to the peer", function(test)
  local theirs = pki.configuration()
  theirs.local_certificate_chain = { pki.certificate "localhost", pki.certificate "ca" }
  equal(#theirs.local_certificate_chain, 2)
  theirs.allowed_next_protocols = { "imap", "h2" }
  local ours = pki.trusting()
  ours.allowed_next_protocols = { "h2" }
  local hears, socket = shake_hands(test, ours, theirs)
  equal(hears, true)
  equal(socket.facts.tls.peer_certificates, 2)
  equal(socket.facts.tls.alpn, "h2")
  raises("a SslCertificate is expected", function() theirs.local_certificate = pki.key "localhost" end)
  raises("is null, and vouches for nobody", theirs.add_ca_certificate, theirs, SslCertificate.new "")
end)

test("L27 what does not fit together is an error before anything is sent", function(test)
  local configuration = net.SslConfiguration.new()
  configuration.local_certificate = pki.certificate "localhost"
  local socket = test:socket(SslSocket)
  socket.ssl_configuration = configuration
  local told = harness.record(socket)
  local function fails(pattern)
    local before = #told
    socket:connect_encrypted("localhost", 1)
    test:wait(function() return #told > before end, "an error")
    equal(told[#told], "error 21")
    equal(socket.error, net.TcpSocket.SSL_INVALID_USERDATA_ERROR)
    assert(socket.error_string:find(pattern, 1, true), socket.error_string)
  end
  fails "private_key is missing"
  configuration.private_key = pki.key "client"
  fails "key"
  configuration.private_key = SslKey.new("", SslKey.EC)
  fails "private_key: "
  configuration.private_key = SslKey.new(pki.read "ec.pub.der", SslKey.EC, DER, SslKey.PUBLIC)
  fails "private_key is a public key"

  local server = test:keep(net.SslServer.new())
  equal(server:listen(0, "127.0.0.1"), false)
  assert(server.error_string:find("local_certificate", 1, true), server.error_string)
  server.ssl_configuration = pki.configuration()
  server.ssl_configuration.peer_verify_mode = SslSocket.VERIFY_PEER
  equal(server:listen(0, "127.0.0.1"), false)
  assert(server.error_string:find("add_ca_certificate", 1, true), server.error_string)
end)

test("L27 an upgrade that cannot begin ends the connection", function(test)
  local server = test:server()
  local socket = test:socket(SslSocket)
  local told = harness.record(socket)
  socket:connect("127.0.0.1", server.port)
  local far = test:accept(server)
  assert(socket:wait_for_connected())
  socket:start_server_encryption()
  socket:write_string("nothing of this in plaintext")
  assert(socket:wait_for_disconnected())
  test:wait(function() return told[#told] == "disconnected" end, "the end")
  equal({ told[#told - 2], told[#told - 1], told[#told] }, { "error 21", "state_changed 0", "disconnected" })
  assert(far:wait_for_disconnected())
  equal(far:read_all_string(), "")
end)
