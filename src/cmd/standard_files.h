/* Standard input, output and error, which whoever starts a program may have closed. */
#ifndef CMD_STANDARD_FILES_H
#define CMD_STANDARD_FILES_H

#include <stdbool.h>

/* To be called before anything is opened: if one of the three were closed, the next file or socket would take its place, and the log or an
 * answer might be written into it. Those that are closed lead to /dev/null from now on. False: that cannot be had. */
bool standard_files_open(void);

#endif
