-- Counts the mail in an inbox: imap.lua HOST PORT USER PASSWORD tls|starttls [CA.pem]
local iomodules = require "iomodules"
local net = iomodules.net
local host, port, user, password, how, ca = ...

iomodules.run(function()
  local socket = net.SslSocket.new()
  if ca then
    local text = assert(io.open(ca)):read("*a")
    socket.ssl_configuration:add_ca_certificate(net.SslCertificate.new(text))
  end
  local function line()
    while not socket.can_read_line do assert(socket:wait_for_ready_read(), socket.error_string) end
    return socket:read_line_string()
  end
  local function command(text)
    socket:write_string("a " .. text .. "\r\n")
    local answer, all = line(), ""
    while not answer:find("^a ") do answer, all = line(), all .. answer end
    assert(answer:find("^a OK"), answer)
    return all
  end
  local connect = how == "tls" and socket.connect_encrypted or socket.connect
  connect(socket, host, tonumber(port), net.Stream.READ_WRITE_MODE)
  io.write(line())
  if how == "starttls" then
    command("STARTTLS")
    socket:start_client_encryption()
  end
  command(("LOGIN %q %q"):format(user, password))
  print(socket.facts.tls.version, command("STATUS INBOX (MESSAGES)"):match("MESSAGES (%d+)"))
  command("LOGOUT")
end)
