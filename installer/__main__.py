# Kept to what any Python can read, so that an old one names the remedy instead of a SyntaxError.
import sys

if sys.version_info >= (3, 11):
    from installer.cli import main
else:
    from installer.pythons import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
