package bounce

// A phrase keeps its bytes 4 to 7 as a number too: most of those that begin
// alike ("recipient …", "mailbox …") are told apart by them without a call.
type phrase struct {
	text       string
	next, mask uint32
	id         uint16
	placed     bool // a rule asks where it stands
}

const (
	maxPhrases = 64 * 64
	maxPlaces  = 64 // of phrases that are remembered in one reply; hostile text has more
	nearWords  = 7  // apart, from first word to first word, is near
)

// heard holds the phrases that occur in a reply, and where those with a place stand.
type heard struct {
	set    [maxPhrases / 64]uint64
	places [maxPlaces]place
	n      int
}

type place struct{ id, word uint16 }

func (h *heard) has(id uint16) bool { return h.set[id>>6]&(1<<(id&63)) != 0 }

func (h *heard) any(ids []uint16) bool {
	for _, id := range ids {
		if h.has(id) {
			return true
		}
	}
	return false
}

// near reports whether one phrase of each list stand close to each other.
func (h *heard) near(one, other []uint16) bool {
	if !h.any(one) || !h.any(other) {
		return false
	}
	for _, a := range h.places[:h.n] {
		if !contains(one, a.id) {
			continue
		}
		for _, b := range h.places[:h.n] {
			if apart := int(a.word) - int(b.word); -nearWords <= apart && apart <= nearWords && contains(other, b.id) {
				return true
			}
		}
	}
	return false
}

func contains(ids []uint16, id uint16) bool {
	for _, i := range ids {
		if i == id {
			return true
		}
	}
	return false
}

// place marks a phrase as one to find with its place.
func (t *table) place(text string, id uint16) {
	alike := t.phrases[key(text)]
	for i := range alike {
		if alike[i].id == id {
			alike[i].placed = true
		}
	}
}

// listen finds all phrases in folded text.
func (t *table) listen(text []byte, h *heard) {
	word := uint16(0)
	for i, c := range text {
		if c == ' ' {
			word++
		} else if c < 0x80 {
			continue
		}
		rest := text[i:]
		if len(rest) < 4 {
			return
		}
		candidates := t.phrases[key(rest)]
		if candidates == nil {
			continue
		}
		next, _ := second(rest)
		for j := range candidates {
			p := &candidates[j]
			if next&p.mask == p.next && len(rest) >= len(p.text) && string(rest[:len(p.text)]) == p.text {
				h.set[p.id>>6] |= 1 << (p.id & 63)
				if p.placed && h.n < maxPlaces {
					h.places[h.n] = place{p.id, word}
					h.n++
				}
			}
		}
	}
}

// key is the first four bytes of s, or of an address or IP address the first
// three, which are all it has.
func key[S string | []byte](s S) uint32 {
	k := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16
	if s[1] != '@' && s[1] != '%' {
		k |= uint32(s[3]) << 24
	}
	return k
}

// second is bytes 4 to 7 of s, as far as there are any, and the mask of those.
func second[S string | []byte](s S) (next, mask uint32) {
	for i := 4; i < min(len(s), 8); i++ {
		next |= uint32(s[i]) << (8 * (i - 4))
		mask |= 0xff << (8 * (i - 4))
	}
	return next, mask
}
