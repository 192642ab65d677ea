"""Which addresses a name may lead the gateway to: public ones, and nothing that stands for another network."""

PUBLIC = ("0.0.0.0/0", "2000::/3")
"""Where the outside is: of IPv6, global unicast only, which leaves out loopback, unique and link-local addresses,
multicast, IPv4-mapped ones and NAT64."""
NOT_PUBLIC = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
    "2001::/23",
    "2002::/16",
)
"""What is closed of that. Tunnels (Teredo, 6to4) could lead to any IPv4 address."""
EMBEDDING = ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
"""IPv6 addresses beside `PUBLIC` that carry an IPv4 address, which could be any of the closed ones."""
