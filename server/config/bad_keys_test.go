package config_test

import "testing"

// Keys that are short, examples or used twice stop the start.
//
// shows KEY-SECRET
func TestBadKeys(t *testing.T) {
	runBad(t, []bad{
		{"no sealing keys", "sealing_keys:\n  - {id: k1, file: k1}\n", "sealing_keys: []\n", []string{
			"cloakroom.yaml:3: sealing_keys: missing; write [{id: k1, file: name}] with a file that `cloakroom keygen` made",
		}},
		{"a key without a file", "{id: k1, file: k1}", "{id: k1}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: missing; name a file that `cloakroom keygen` made",
		}},
		{"a key in the file itself", "{id: k1, file: k1}", "{id: k1, key: abc}", []string{
			"cloakroom.yaml:4: sealing_keys[0].key: a key in the configuration file itself; put it into a file of its own and name that in file",
		}},
		{"a key file that is not there", "{id: k1, file: k1}", "{id: k1, file: nope}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: reading nope: no such file or directory; name a file that this process may read",
		}},
		{"a key file that is a folder", "{id: k1, file: k1}", "{id: k1, file: .}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: reading DIR: no regular file; name a file that this process may read",
		}},
		{"a key file that is empty", "{id: k1, file: k1}", "{id: k1, file: empty}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: the file empty is empty; write the secret into it",
		}},
		{"a key of eight bytes", "{id: k1, file: k1}", "{id: k1, file: short}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key that is not 32 bytes long; it has to be 32 random bytes in base64url, as `cloakroom keygen` prints",
		}},
		{"a key of zeros", "{id: k1, file: k1}", "{id: k1, file: zero}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key that was not drawn at random; draw one with `cloakroom keygen`",
		}},
		{"a key of readable text", "{id: k1, file: k1}", "{id: k1, file: text}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key that was not drawn at random; draw one with `cloakroom keygen`",
		}},
		{"a key that counts", "{id: k1, file: k1}", "{id: k1, file: count}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key that was not drawn at random; draw one with `cloakroom keygen`",
		}},
		{"a key in the other base64", "{id: k1, file: k1}", "{id: k1, file: std}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key that is no base64url text; it has to be 32 random bytes in base64url, as `cloakroom keygen` prints",
		}},
		{"a key in hexadecimal", "{id: k1, file: k1}", "{id: k1, file: hex}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key in hexadecimal; it has to be 32 random bytes in base64url, as `cloakroom keygen` prints",
		}},
		{"a key file with two keys", "{id: k1, file: k1}", "{id: k1, file: two}", []string{
			"cloakroom.yaml:4: sealing_keys[0].file: a key of more than one line; draw one with `cloakroom keygen`",
		}},
		{"one key that seals and names", "{id: i1, file: i1}", "{id: i1, file: k1pad}", []string{
			"cloakroom.yaml:6: index_keys[0].file: the same key as another one; draw each with `cloakroom keygen`",
		}},
		{"one key under two ids", "  - {id: k1, file: k1}\n", "  - {id: k1, file: k1}\n  - {id: k2, file: k1}\n", []string{
			"cloakroom.yaml:5: sealing_keys[1].file: the same key as another one; draw each with `cloakroom keygen`",
		}},
		{"one id for two keys", "  - {id: k1, file: k1}\n", "  - {id: k1, file: k1}\n  - {id: k1, file: k2}\n", []string{
			"cloakroom.yaml:5: sealing_keys[1].id: the id of another key; what one sealed would be opened with the other",
		}},
		{"an id in capitals", "{id: k1, file: k1}", "{id: K1, file: k1}", []string{
			"cloakroom.yaml:4: sealing_keys[0].id: no key id; an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit",
		}},
		{"a key without an id", "{id: k1, file: k1}", "{file: k1}", []string{
			"cloakroom.yaml:4: sealing_keys[0].id: missing; an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit",
		}},
		{"a retired key that still opens", "index_keys:", "retired_keys: [k1, \"?\", k0, k0]\nindex_keys:", []string{
			"cloakroom.yaml:5: retired_keys[0]: still among sealing_keys; a retired key no longer opens anything, so remove it there first",
			"cloakroom.yaml:5: retired_keys[1]: no key id; an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit",
			"cloakroom.yaml:5: retired_keys[3]: listed twice; delete one of them",
		}},
	})
}
