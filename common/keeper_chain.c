/* SPDX-License-Identifier: ISC */
/*
 * keeper_chain: reads the certificates of a pair.  Runs in the keeper; the
 * file is the administrator's, and may be half-written or something else.
 * Workers get what is written here and never the file, in which there may be
 * a key.
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "keeper_chain.h"
#include "tls_names.h"
#include "xmalloc.h"

/* Does every line that begins like a boundary of RFC 7468 end like one? */
static bool
is_whole(struct text in)
{
	struct text line, rest = in;
	int begun = 0;

	while (rest.len > 0) {
		(void)text_split(&rest, '\n', &line);
		line = text_trim(line);
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line = text_trim((struct text){ line.p, line.len - 1 });
		if (!text_caseprefix(line, "-----"))
			continue;
		if (line.len < 15 ||
		    memcmp(line.p + line.len - 5, "-----", 5) != 0)
			return false;
		if (text_caseprefix(line, "-----BEGIN "))
			begun++;
		else if (text_caseprefix(line, "-----END "))
			begun--;
		if (begun < 0 || begun > 1)
			return false;
	}
	return begun == 0;
}

/*
 * A worker makes an object of each one's public key, and ends where that fails:
 * an intermediate certificate may have one of a kind that is not known here.
 */
static bool
is_usable(gnutls_x509_crt_t crt)
{
	gnutls_pcert_st p;

	if (gnutls_pcert_import_x509(&p, crt, 0) != 0)
		return false;
	gnutls_pcert_deinit(&p);
	return true;
}

static bool
are_usable(gnutls_x509_crt_t *list, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!is_usable(list[i]))
			return false;
	return true;
}

static int
write_pem(gnutls_x509_crt_t *list, unsigned int n, struct keeper_chain *c,
    const char **why)
{
	gnutls_datum_t d;
	struct buf b;
	unsigned int i;
	int result = 0;

	buf_init(&b, MSG_CHAIN_MAX);
	for (i = 0; i < n && result == 0; i++) {
		if (gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_PEM, &d) !=
		    0) {
			*why = "its certificates cannot be written";
			result = -1;
			break;
		}
		result = buf_append(&b, d.data, d.size);
		if (result == -1)
			*why = "its certificates are longer than TLS clients "
			       "like, 12288 octets in PEM";
		gnutls_free(d.data);
	}
	if (result == 0) {
		c->len = buf_view(&b).len;
		c->pem = xstrndup(buf_view(&b).p, c->len);
	}
	buf_free(&b);
	return result;
}

/* False: it does not fit any more. */
static bool
add_name(void *arg, const char *name, size_t len)
{
	struct keeper_chain *c = arg;
	char shown[TLS_NAME_MAX * 4 + 1];
	const char *sep = c->names[0] == '\0' ? "" : " ";
	size_t used = strlen(c->names);

	(void)text_printable((struct text){ name, len }, shown, sizeof(shown));
	if (used + strlen(shown) + 5 > sizeof(c->names)) {
		(void)strlcat(c->names, sep, sizeof(c->names));
		(void)strlcat(c->names, "...", sizeof(c->names));
		return false;
	}
	(void)strlcat(c->names, sep, sizeof(c->names));
	(void)strlcat(c->names, shown, sizeof(c->names));
	return true;
}

int
keeper_chain_read(struct text in, struct keeper_chain *c, const char **why)
{
	union {
		const char *in;
		unsigned char *out;
	} p = { .in = in.p };
	const gnutls_datum_t d = { p.out, (unsigned int)in.len };
	gnutls_x509_crt_t *list = NULL;
	unsigned int i, n = 0;
	int result = -1;

	memset(c, 0, sizeof(*c));
	if (in.len == 0 ||
	    gnutls_x509_crt_list_import2(
	        &list, &n, &d, GNUTLS_X509_FMT_PEM, 0) < 0 ||
	    n == 0) {
		*why = "its certificate is not one in PEM";
		return -1;
	}
	if (!is_whole(in))
		*why = "its certificate's file is not whole: something in it "
		       "has a beginning and no end";
	else if (n > KEEPER_CHAIN_CERTS)
		*why = "its certificate's file has more than 16 certificates";
	else if (!are_usable(list, n))
		*why = "its certificate's file has one whose public key is of "
		       "a kind that is not known";
	else
		result = write_pem(list, n, c, why);
	c->not_before = gnutls_x509_crt_get_activation_time(list[0]);
	c->not_after = gnutls_x509_crt_get_expiration_time(list[0]);
	tls_names_visit(list[0], add_name, c);
	for (i = 0; i < n; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return result;
}

void
keeper_chain_free(struct keeper_chain *c)
{
	free(c->pem);
	memset(c, 0, sizeof(*c));
}
