/* SPDX-License-Identifier: ISC */
/*
 * handover: one sealed memfd for what a role gets to know.  The master
 * writes, roles read.  A part on the memfd: kind (16 bits), number (16),
 * length (32), all in network order, then the octets.
 */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"
#include "xmalloc.h"

#define PART_HEADER 8
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct handover {
	char *p;
	size_t len;
};

int
handover_new(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w == -1)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
write_header(int fd, enum handover_kind kind, uint16_t number, size_t len)
{
	uint16_t h[4];
	uint32_t n = htobe32((uint32_t)len);

	h[0] = htobe16((uint16_t)kind);
	h[1] = htobe16(number);
	memcpy(&h[2], &n, sizeof(n));
	return write_all(fd, (const char *)h, sizeof(h));
}

int
handover_add(int fd, enum handover_kind kind, uint16_t number, struct text data)
{
	if (data.len > HANDOVER_FILE_MAX) {
		errno = EFBIG;
		return -1;
	}
	if (write_header(fd, kind, number, data.len) == -1)
		return -1;
	return write_all(fd, data.p, data.len);
}

/* Exactly len octets, or the file changed under us. */
static int
send_all(int to, int from, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = sendfile(to, from, NULL, len);
		if (n == -1)
			return -1;
		if (n == 0) {
			errno = EIO;
			return -1;
		}
		len -= (size_t)n;
	}
	return 0;
}

const char *
handover_strerror(int error)
{
	/* ENXIO: open(2) of a socket, or of a device that is not there. */
	if (error == EINVAL || error == EISDIR || error == ENXIO)
		return "it is no regular file";
	if (error == EFBIG)
		return "it is longer than 4 MiB";
	return strerror(error);
}

int
handover_add_file(
    int fd, enum handover_kind kind, uint16_t number, const char *path)
{
	struct stat st;
	int from, save, result = -1;

	from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (from == -1)
		return -1;
	if (fstat(from, &st) == -1)
		goto done;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		goto done;
	}
	if (st.st_size > HANDOVER_FILE_MAX) {
		errno = EFBIG;
		goto done;
	}
	if (write_header(fd, kind, number, (size_t)st.st_size) == -1)
		goto done;
	result = send_all(fd, from, (size_t)st.st_size);
done:
	save = errno;
	close(from);
	errno = save;
	return result;
}

int
handover_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS);
}

/* The part at *at, which moves on; -1 when it is not whole. */
static int
next_part(const struct handover *h, size_t *at, uint16_t *kind,
    uint16_t *number, struct text *data)
{
	uint32_t n;

	if (h->len - *at < PART_HEADER)
		return -1;
	memcpy(kind, h->p + *at, sizeof(*kind));
	memcpy(number, h->p + *at + 2, sizeof(*number));
	memcpy(&n, h->p + *at + 4, sizeof(n));
	*kind = be16toh(*kind);
	*number = be16toh(*number);
	n = be32toh(n);
	*at += PART_HEADER;
	if (n > h->len - *at)
		return -1;
	*data = (struct text){ h->p + *at, n };
	*at += n;
	return 0;
}

struct handover *
handover_open(int fd)
{
	struct stat st;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1 || fstat(fd, &st) == -1)
		return NULL;
	if ((seals & SEALS) != SEALS) {
		errno = EPERM;
		return NULL;
	}
	return handover_map(fd, (size_t)st.st_size);
}

struct handover *
handover_map(int fd, size_t len)
{
	struct handover *h = xcalloc(1, sizeof(*h));
	struct text data;
	uint16_t kind, number;
	size_t at = 0;

	h->len = len;
	/* Before 6.7 Linux takes a shared mapping of it for a writable one. */
	h->p = mmap(NULL, h->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (h->p == MAP_FAILED) {
		free(h);
		return NULL;
	}
	while (at < h->len)
		if (next_part(h, &at, &kind, &number, &data) == -1) {
			handover_close(&h);
			errno = EBADMSG;
			return NULL;
		}
	return h;
}

void
handover_close(struct handover **hp)
{
	struct handover *h = *hp;

	if (h == NULL)
		return;
	*hp = NULL;
	(void)munmap(h->p, h->len);
	free(h);
}

bool
handover_next(const struct handover *h, size_t *at, struct handover_part *part)
{
	uint16_t kind;

	if (*at >= h->len ||
	    next_part(h, at, &kind, &part->number, &part->data) == -1)
		return false;
	part->kind = (enum handover_kind)kind;
	return true;
}

struct text
handover_get(const struct handover *h, enum handover_kind kind, uint16_t number)
{
	struct text data;
	uint16_t k, n;
	size_t at = 0;

	while (at < h->len)
		if (next_part(h, &at, &k, &n, &data) == -1)
			break;
		else if (k == kind && n == number)
			return data;
	return TEXT_NONE;
}
