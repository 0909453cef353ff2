/* felix check: looks at a directory without serving anybody: what is wrong in it, and what each endpoint would get.
 */
#ifndef CMD_FELIX_CHECK_H
#define CMD_FELIX_CHECK_H

/* The command line from argv[first] on; returns the exit status: 0 nothing is wrong, 1 something is (or the directory cannot be
 * read), 2 wrong command line. */
int felix_check(int first, int argc, char **argv);

#endif
