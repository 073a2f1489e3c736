package contract

// Money is an amount in the minor units of a currency of ISO 4217: cents, pence,
// and whole yen.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Times returns n times the amount.
func (m Money) Times(n int64) Money { return Money{Amount: m.Amount * n, Currency: m.Currency} }
