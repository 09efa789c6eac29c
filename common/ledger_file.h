/* SPDX-License-Identifier: ISC */
/*
 * ledger_file: the file that the ledger is in, run/ledger in the spool: made
 * and opened by masters, for their brokers.
 */
#ifndef LEDGER_FILE_H
#define LEDGER_FILE_H

/*
 * A descriptor of the ledger of that spool, for reading and writing.  One that
 * is there is taken as it is, whatever entries says; one that is none is
 * replaced.  Not started as root, or where the file cannot be had, it is in
 * memory: before, if that is one (-1: there is none).  before is closed unless
 * it is the result.
 */
int ledger_file_open(const char *spool, unsigned int entries, int before);
/* The same file, to be read only.  Ends the process where that fails. */
int ledger_file_reading(int fd);

/* The path, to be freed. */
char *ledger_file_path(const char *spool);

/* Map a descriptor (which stays open).  NULL: it is no ledger. */
struct ledger;
struct ledger *ledger_file_map(int fd, int protection);

#endif
