/* SPDX-License-Identifier: ISC */
/*
 * pace: asks the kernel what went across.  Runs in workers.  It has a file of
 * its own because <linux/tcp.h>, which knows the counters, cannot stand beside
 * <netinet/tcp.h>, which does not.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/tcp.h>

#include <stddef.h>

#include "pace.h"

int
pace_of(int fd, struct pace *out)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	*out = (struct pace){ 0, 0 };
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1 ||
	    len < offsetof(struct tcp_info, tcpi_bytes_received) +
	            sizeof(info.tcpi_bytes_received))
		return -1;
	out->acknowledged = info.tcpi_bytes_acked;
	out->received = info.tcpi_bytes_received;
	return 0;
}
