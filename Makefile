# `make demo`: set up, turn the wheel once, leave the console running.
# `make test`: set up and run every test.
.PHONY: demo demo-stop test check bench

demo:
	scripts/demo

demo-stop:
	target/release/pelton demo --folder .build/demo --stop

test:
	scripts/test

check:
	scripts/check

# make bench NAME=turn
bench:
	cargo xtask bench $(or $(NAME),start) --json
