-- The whole suite, in the interpreter that runs this: `cargo xtask lua` does, in each that there is.

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/?.lua;" .. package.path

local harness = require "harness"
harness.label = "lua " .. (jit and "LuaJIT" or _VERSION)
harness.root = folder .. "/.."
harness.pki = require "pki"

local made = io.popen("mktemp -d")
harness.folder = made:read("*l")
made:close()
local fine, trouble = xpcall(function()
  harness.pki.make(harness.folder)
  for _, name in ipairs { "sockets", "encryption", "configuration", "servers", "handlers", "processes", "dovecot" } do
    require(name)
  end
end, debug.traceback)
os.execute("rm -r " .. harness.folder)
if not fine then print("the suite broke off: " .. tostring(trouble)) end
if not harness.close() or not fine then os.exit(1) end
