// SPDX-License-Identifier: MIT
// A shared library with nothing in it.
void empty(void);
void empty(void) {}
