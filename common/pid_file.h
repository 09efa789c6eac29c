/* SPDX-License-Identifier: ISC */
/*
 * pid_file: the file that says which process is the master, locked for as
 * long as it lives.  Runs in the master.  pidfile(3) is not used: its lock
 * cannot be taken along when the master executes its successor.
 */
#ifndef PID_FILE_H
#define PID_FILE_H

struct pid_file;

/*
 * Take the lock; nothing is written yet.  NULL, with a message logged, when
 * another process has it or the file cannot be had.
 */
struct pid_file *pid_file_open(const char *path);
/* The same with the lock that fd (taken over) has already. */
struct pid_file *pid_file_adopt(const char *path, int fd);
/* Write our pid; what cannot be written is logged. */
void pid_file_write(struct pid_file *p);
/* Remove the file, unless another one is at its place by now. */
void pid_file_remove(struct pid_file **p);

const char *pid_file_path(const struct pid_file *p);
int pid_file_fd(const struct pid_file *p);

#endif
