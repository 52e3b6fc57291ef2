"""Builds `services.tftp._mmsg`, the system calls of `mmsg`, for cffi in API mode.

A call through it costs a third of one through ctypes, which `mmsg` uses where this was not built.
"""

from cffi import FFI

ffi = FFI()
ffi.cdef(
    """
    int receive_many(int descriptor, uintptr_t headers, unsigned int count, int looks);
    int send_many(int descriptor, uintptr_t headers, unsigned int count, int flags);
    long long exchange(int descriptor, uintptr_t sent, uintptr_t received);
    """
)
ffi.set_source(
    "services.tftp._mmsg",
    """
    #include <errno.h>
    #include <netinet/in.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/socket.h>

    static int receive_many(int descriptor, uintptr_t headers, unsigned int count, int looks)
    {
        int taken;
        do
            taken = recvmmsg(descriptor, (struct mmsghdr *)headers, count, MSG_DONTWAIT, NULL);
        while (taken < 0 && errno == EAGAIN && --looks > 0);
        return taken < 0 ? -errno : taken;
    }

    static int send_many(int descriptor, uintptr_t headers, unsigned int count, int flags)
    {
        int sent = sendmmsg(descriptor, (struct mmsghdr *)headers, count, flags);
        return sent < 0 ? -errno : sent;
    }

    static long long exchange(int descriptor, uintptr_t sent, uintptr_t received)
    {
        struct mmsghdr *out = (struct mmsghdr *)sent, *in = (struct mmsghdr *)received;
        if (sendmsg(descriptor, &out->msg_hdr, MSG_DONTWAIT) < 0)
            return -NOT_SENT - errno;
        int length = recvmsg(descriptor, &in->msg_hdr, 0);
        if (length < 0)
            return -errno;
        in->msg_len = length;
        uint32_t head = *(uint32_t *)in->msg_hdr.msg_iov->iov_base;
        int is_other = length != sizeof head
            || memcmp(in->msg_hdr.msg_name, out->msg_hdr.msg_name, sizeof(struct sockaddr_in));
        return is_other ? OTHER : head;
    }
    """,
    define_macros=[("_GNU_SOURCE", "1"), ("NOT_SENT", "65536"), ("OTHER", "(1LL << 32)")],
)
