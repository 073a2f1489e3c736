package main

// CountVerified returns the number of verified tokens that the keyring remembers.
func (k *Keyring) CountVerified() int { return k.keys.Load().verified.Len() }
