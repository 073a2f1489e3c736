package booking

// KeylessRetention is keylessRetention.
const KeylessRetention = keylessRetention
