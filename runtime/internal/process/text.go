package process

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// count is "1 thing" or "3 things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return itoa(n) + " " + thing + "s"
}

// word is s as one word of a sentence: as it is if nobody can mistake it, otherwise
// quoted, with everything that is not printable escaped.
func word(s string) string {
	plain := s != ""
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c > ' ' && c < 0x7f && !strings.ContainsRune(`"'\$&;<>()|*?`+"`", rune(c))
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// words is a command line, cut where nobody reads on.
func words(list []string) string {
	const enough = 160
	var b strings.Builder
	for i, s := range list {
		if b.Len() > enough {
			b.WriteString(" … (")
			b.WriteString(count(len(list)-i, "more argument"))
			b.WriteString(")")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if len(s) > enough {
			s = strings.ToValidUTF8(s[:enough], "") + "…"
		}
		b.WriteString(word(s))
	}
	return b.String()
}
