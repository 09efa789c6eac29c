/* SPDX-License-Identifier: ISC */
/*
 * keeper: holds the private keys and answers sign requests.  It parses the
 * keys itself, checks each against its certificate, and signs only what a
 * TLS server signs: the content of a TLS 1.3 CertificateVerify, or digests of
 * an offered scheme where TLS 1.2 is on, at a limited rate per worker.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "role.h"

_Noreturn void keeper_main(const struct role_start *start);

#endif
