package dpop

import "slices"

// weakPoint reports whether an Ed25519 key is a point of small order, or is not written in the one way that it should be (RFC
// 8032 section 5.1.3: y below p). For a point of small order anybody can make signatures that crypto/ed25519 takes: a handle
// that is bound to one is bound to nobody.
func weakPoint(key [32]byte) bool {
	key[31] &= 0x7f // the sign of x: each of these has its mirror
	slices.Reverse(key[:])
	return slices.ContainsFunc(smallOrder(), func(y [32]byte) bool { return key == y }) || !belowPrime(key)
}

// belowPrime reports whether y, most significant byte first, is less than p = 2^255 - 19.
func belowPrime(y [32]byte) bool {
	high := [31]byte{0: 0x7f}
	for i := 1; i < len(high); i++ {
		high[i] = 0xff
	}
	return [31]byte(y[:31]) != high || y[31] < 0xed
}

// smallOrder is the y of all points whose order divides eight, most significant byte first.
func smallOrder() [][32]byte {
	minusOne := [32]byte{0: 0x7f, 31: 0xec} // p - 1: order 2
	for i := 1; i < 31; i++ {
		minusOne[i] = 0xff
	}
	return [][32]byte{
		{},      // 0: order 4
		{31: 1}, // 1: the neutral element
		minusOne,
		{ // order 8
			0x7a, 0x03, 0xac, 0x92, 0x77, 0xfd, 0xc7, 0x4e, 0xc6, 0xcc, 0x39, 0x2c, 0xfa, 0x53, 0x20, 0x2a,
			0x0f, 0x67, 0x10, 0x0d, 0x76, 0x0b, 0x3c, 0xba, 0x4f, 0xd8, 0x3d, 0x3d, 0x70, 0x6a, 0x17, 0xc7,
		},
		{ // order 8
			0x05, 0xfc, 0x53, 0x6d, 0x88, 0x02, 0x38, 0xb1, 0x39, 0x33, 0xc6, 0xd3, 0x05, 0xac, 0xdf, 0xd5,
			0xf0, 0x98, 0xef, 0xf2, 0x89, 0xf4, 0xc3, 0x45, 0xb0, 0x27, 0xb2, 0xc2, 0x28, 0xfc, 0x95, 0x26,
		},
	}
}
