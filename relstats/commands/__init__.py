"""The commands, each as thin as it can be: parse, call one function, print."""
