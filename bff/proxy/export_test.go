package proxy

// Follow has a follower of frames see these pieces, one after the other. It tells what it made of them: whether any belonged
// to a message, whether another frame may follow, and whether a close frame has passed.
func Follow(pieces ...[]byte) (message, between, closed bool) {
	var f frames
	for _, p := range pieces {
		message = f.take(p) || message
	}
	return message, f.between(), f.closed
}

// Challenge is a challenge as package proxy reads it.
type Challenge struct {
	Scheme string
	Params map[string]string
}

// ReadChallenges reads lines of WWW-Authenticate.
func ReadChallenges(lines ...string) (all []Challenge) {
	for _, c := range challenges(lines) {
		all = append(all, Challenge{c.scheme, c.params})
	}
	return all
}
