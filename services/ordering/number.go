package ordering

// The alphabet of order numbers is Crockford's base 32: no I, L, O or U, so that a number
// survives being read out.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// The bits of a number: eight letters of five bits.
const numberBits = 40

// number is the order number for people: the position in the log at which the order was
// placed, which is unique, scrambled so that it tells nobody how many orders the shop has.
// It is a bijection on 40 bits (a Feistel network of four rounds over halves of 20 bits), so
// two positions below 2^40 never share a number.
func number(position int64) string {
	const half = numberBits / 2
	const mask = 1<<half - 1
	left, right := uint64(position)>>half&mask, uint64(position)&mask
	for round := range uint64(4) {
		// The multiplier is that of Knuth's multiplicative hashing.
		mixed := (right + round*0x9E37) * 2654435761
		left, right = right, left^(mixed>>15&mask)
	}
	n := left<<half | right
	var s [9]byte
	for i := len(s) - 1; i >= 0; i-- {
		if i == 4 {
			s[i] = '-'
			continue
		}
		s[i] = alphabet[n&31]
		n >>= 5
	}
	return string(s[:])
}
