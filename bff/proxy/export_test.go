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
