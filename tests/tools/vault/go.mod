module tools/vault

go 1.26

tool github.com/hashicorp/vault

require github.com/hashicorp/vault v1.21.0 // indirect

require github.com/hashicorp/vault/sdk v0.20.0 // indirect

// The two replacements of vault's own go.mod that are not local paths; a replacement counts in
// the main module only.
replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace github.com/ma314smith/signedxml v1.1.1 => github.com/moov-io/signedxml v1.1.1
