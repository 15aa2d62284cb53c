-- IMAP sessions with Dovecot, by the example of the docs: TLS at once, and STARTTLS.

local harness = require "harness"
local iomodules = require "iomodules"
local net = iomodules.net

local test, equal = harness.test, harness.equal

local CONFIGURATION = [[
base_dir = FOLDER/run
state_dir = FOLDER/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <FOLDER/localhost.pem
ssl_key = <FOLDER/localhost.key
mail_location = maildir:FOLDER/mail/%u
first_valid_uid = 1
passdb {
  driver = static
  args = password=open-sesame
}
userdb {
  driver = static
  args = uid=UID gid=GID home=FOLDER/mail/%u
}
service imap-login {
  inet_listener imap {
    port = PLAIN
  }
  inet_listener imaps {
    port = SECURE
    ssl = yes
  }
OTHERWISE}
INTERNAL
]]

-- What runs as whom: of root's daemon the mail belongs to the user `mail`; of another's, all to that one.
local function identity()
  local asked = io.popen("id -u; id -u mail; id -g mail; id -g; id -un")
  local uid, mail, group_of_mail, group, name =
    asked:read("*n"), asked:read("*n"), asked:read("*n"), asked:read("*n"), asked:read("*l") and asked:read("*l")
  asked:close()
  if uid == 0 then return mail, group_of_mail, "" end
  return uid, group, ("default_internal_user = %s\ndefault_login_user = %s"):format(name, name)
end

local function free_ports(test, count)
  local servers, ports = {}, {}
  for number = 1, count do
    servers[number] = test:server()
    ports[number] = servers[number].port
  end
  for _, server in ipairs(servers) do server:close() end
  return (table.unpack or unpack)(ports)
end

test("IMAP with Dovecot, by TLS at once and by STARTTLS", function(test)
  local folder = harness.folder
  local plain, secure = free_ports(test, 2)
  local uid, gid, internal = identity()
  local values = { FOLDER = folder, PLAIN = plain, SECURE = secure, UID = uid, GID = gid, INTERNAL = internal,
    OTHERWISE = internal == "" and "" or "  chroot =\n" }
  local path = folder .. "/dovecot.conf"
  harness.write_file(path, (CONFIGURATION:gsub("%u+", values)))
  os.execute(("chmod 755 %s && mkdir -p %s/mail && chmod 777 %s/mail"):format(folder, folder, folder))
  local dovecot = test:peer(("exec dovecot -F -c %s"):format(path))

  -- It listens when it answers.
  local greeted = false
  local function knock()
    local socket = test:socket()
    socket:connect("127.0.0.1", plain)
    if socket:wait_for_connected() and socket:wait_for_ready_read() then greeted = true end
    socket:abort()
  end
  for _ = 1, 100 do
    if greeted then break end
    knock()
    iomodules.run_once(50)
  end
  assert(greeted, "Dovecot does not answer: " .. (harness.read_file(dovecot.log) or ""))

  local function session(port, how, password)
    local run = io.popen(("%s %s/examples/imap.lua localhost %d somebody %s %s %s/ca.pem 2>&1; echo exit $?")
      :format(harness.interpreter, harness.root, port, password, how, folder))
    local said = run:read("*a")
    run:close()
    return said
  end
  for how, port in pairs { tls = secure, starttls = plain } do
    local said = session(port, how, "open-sesame")
    assert(said:find("^%* OK .*Dovecot.* ready%.\r\n1%.3\t0\nexit 0\n$"), how .. ": " .. said)
    said = session(port, how, "wrong")
    assert(said:find("AUTHENTICATIONFAILED", 1, true) and said:find("exit 1", 1, true), how .. ": " .. said)
  end
end)
