/*
 * A PKCS#11 module that is SoftHSM's, and asks somebody before it signs: by TCP, at the port of this
 * machine in REMOTE_HSM, as the module of an HSM elsewhere does. A byte is a yes; where nobody is reached,
 * or the connection ends without one, the device has failed.
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static CK_FUNCTION_LIST functions;
static CK_C_Sign sign;

static int is_agreed(void)
{
    const char *port = getenv("REMOTE_HSM");
    struct sockaddr_in address = { .sin_family = AF_INET };
    int remote = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer;
    int agreed;

    if (remote < 0)
        return 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port ? (in_port_t)atoi(port) : 0);
    agreed = connect(remote, (struct sockaddr *)&address, sizeof address) == 0
        && read(remote, &answer, 1) == 1;
    close(remote);
    return agreed;
}

static CK_RV agree_and_sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG data_length,
    CK_BYTE_PTR signature, CK_ULONG_PTR length)
{
    /* Without a place for the signature this asks for its length alone. */
    if (signature && !is_agreed())
        return CKR_DEVICE_ERROR;
    return sign(session, data, data_length, signature, length);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
    void *module = dlopen(SOFT_HSM, RTLD_NOW | RTLD_LOCAL);
    CK_FUNCTION_LIST_PTR theirs;
    CK_C_GetFunctionList tell;
    CK_RV told;

    if (!module)
        return CKR_GENERAL_ERROR;
    *(void **)&tell = dlsym(module, "C_GetFunctionList");
    if (!tell)
        return CKR_GENERAL_ERROR;
    told = tell(&theirs);
    if (told != CKR_OK)
        return told;
    functions = *theirs;
    sign = functions.C_Sign;
    functions.C_Sign = agree_and_sign;
    *list = &functions;
    return CKR_OK;
}
