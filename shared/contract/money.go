package contract

// Money is an amount in the minor unit of its currency: cents for EUR, and whole yen
// for JPY. Currency is an ISO 4217 currency code.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Times returns the amount multiplied by n.
func (m Money) Times(n int64) Money { return Money{Amount: m.Amount * n, Currency: m.Currency} }
