// Package abusetest attacks an origin whose nodes are processes of their own: thousands of held requests, readers and senders that
// hardly move, walks over what does not exist, guessed credentials, and requests that are tricks. Each test states the memory that the
// node may take meanwhile, sees to it that publishing stays within its budget, and that nothing of the attack is left afterwards. What
// single handlers make of bad requests is tested where they are; this package holds tests alone.
package abusetest
