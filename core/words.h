/* words.h: two words that people compare by voice (statement_words says which). */
#ifndef CORE_WORDS_H
#define CORE_WORDS_H

#define WORDS_COUNT    2048
#define WORD_BYTES_MAX 7
#define WORDS_TEXT_MAX (2 * WORD_BYTES_MAX + 2) /* with the space and the NUL */

/* index < WORDS_COUNT; static storage. */
const char *words_at(unsigned index);
/* "amber otter" */
void words_text(const unsigned indexes[2], char out[WORDS_TEXT_MAX]);

#endif
