/* SHA-1 (FIPS 180-4), for names that others derive from it too. Not for anything that an attacker must not forge.
 */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/str.h"

void sha1(struct str data, uint8_t digest[20]);

#endif
