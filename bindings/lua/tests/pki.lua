-- Certificates for the tests, by openssl.

local iomodules = require "iomodules"
local net = iomodules.net

local pki = {}

local function run(command, ...)
  local status = os.execute((command .. " 2>/dev/null"):format(...))
  assert(status == true or status == 0, command)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- Makes an authority, a server's and a client's certificate, and keys in several forms.
function pki.make(folder)
  local curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
  run("openssl req -x509 %s -subj '/CN=Test CA' -keyout %s/ca.key -out %s/ca.pem", curve, folder, folder)
  run("openssl req -x509 %s -subj '/CN=Another CA' -keyout %s/other.key -out %s/other.pem", curve, folder, folder)
  local signed = "openssl req -x509 -CA %s/ca.pem -CAkey %s/ca.key %s -subj '/CN=%s' "
    .. "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.pem"
  local function sign(name, names)
    run(signed, folder, folder, curve, name, names, folder, name, folder, name)
  end
  sign("localhost", "DNS:localhost,IP:127.0.0.1")
  sign("client", "DNS:client.example")
  sign("elsewhere", "DNS:elsewhere.example")
  run("openssl x509 -in %s/localhost.pem -outform DER -out %s/localhost.der", folder, folder)
  run("openssl pkey -in %s/localhost.key -outform DER -out %s/localhost.key.der", folder, folder)
  run("openssl pkcs8 -topk8 -in %s/localhost.key -passout pass:secret -out %s/encrypted.key", folder, folder)
  run("openssl genrsa -out %s/rsa.key 2048", folder)
  run("openssl pkey -in %s/rsa.key -pubout -out %s/rsa.pub", folder, folder)
  run("openssl pkey -in %s/localhost.key -pubout -outform DER -out %s/ec.pub.der", folder, folder)
  pki.folder = folder
end

function pki.read(name)
  return read(pki.folder .. "/" .. name)
end

function pki.certificate(name)
  return net.SslCertificate.new(pki.read(name .. ".pem"))
end

function pki.key(name)
  return net.SslKey.new(pki.read(name .. ".key"), net.SslKey.EC)
end

-- Who has a certificate, and whom it trusts: by default the server `localhost`, and nobody.
function pki.configuration(name, trusts)
  local configuration = net.SslConfiguration.new()
  configuration.local_certificate = pki.certificate(name or "localhost")
  configuration.private_key = pki.key(name or "localhost")
  if trusts then configuration:add_ca_certificate(pki.certificate "ca") end
  return configuration
end

-- A client that trusts the tests' authority, or the one that is named.
function pki.trusting(name)
  local configuration = net.SslConfiguration.new()
  configuration:add_ca_certificate(pki.certificate(name or "ca"))
  return configuration
end

return pki
