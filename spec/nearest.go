package spec

import "strings"

// nearest returns the name that was probably meant by word, or "". What all
// names begin with, such as "CAP_", makes nothing similar.
func nearest(word string, names []string) string {
	n := len(sharedPrefix(names))
	if len(word) < n || word[:n] != sharedPrefix(names) {
		n = 0
	}
	word = word[n:]
	if len(word) < 3 || len(word) > cut {
		return ""
	}
	best, limit := "", 1+len(word)/4
	for _, name := range names {
		if n := distance(strings.ToLower(word), strings.ToLower(name[n:])); n <= limit {
			best, limit = name, n-1
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and exchanges of
// neighbours that turn a into b.
func distance(a, b string) int {
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}

// sharedPrefix returns what all names begin with, up to an underscore.
func sharedPrefix(names []string) string {
	if len(names) < 2 {
		return ""
	}
	prefix := names[0]
	for _, name := range names[1:] {
		for !strings.HasPrefix(name, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix[:strings.LastIndexByte(prefix, '_')+1]
}
