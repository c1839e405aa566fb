package storefront

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word, in characters: a longer one is cut, in products and in queries alike.
const maxWord = 64

// words passes the words of a text to add, in their order: runs of letters and digits, folded
// (see fold). What punctuation separates is several words, and one more in one piece, if joined:
// TEA-001 is tea, 001 and tea001, so that it is found however it is spelt. A character of a
// script that is written without spaces is a word of its own.
func words(text string, joined bool, add func(word string)) {
	var word, chunk []rune // the word under way, and all words since the last space
	parts := 0
	end := func() {
		if len(word) > 0 {
			add(string(word[:min(len(word), maxWord)]))
			parts++
		}
		word = word[:0]
	}
	for _, r := range fold(text) + " " {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
			end()
			add(string(r))
		case unicode.IsLetter(r), unicode.IsNumber(r):
			word, chunk = append(word, r), append(chunk, r)
		case unicode.IsSpace(r):
			end()
			if joined && parts > 1 {
				add(string(chunk[:min(len(chunk), maxWord)]))
			}
			chunk, parts = chunk[:0], 0
		default:
			end()
		}
	}
}

// fold makes one spelling of many: small letters, without accents, and plain forms of letters
// that are written in several ways. It is done here, and not by the databases, so that all of
// them find the same.
func fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range norm.NFKD.String(text) {
		r = unicode.ToLower(r)
		switch {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case unicode.IsMark(r): // an accent, since NFKD has taken it off its letter
		case plain[r] != "":
			b.WriteString(plain[r])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain are letters that have no accent to be taken off, as those write them whose keyboards
// lack them.
var plain = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ς': "σ",
}
