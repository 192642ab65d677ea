from ringfence_operator.egress.derived import Derived


def test_the_same_seed_makes_the_same_credentials_and_another_seed_others() -> None:
    one, same, other = Derived(), Derived(), Derived()
    for derived, seed in ((one, "s" * 64), (same, "s" * 64), (other, "o" * 64)):
        derived.know(seed)

    assert one.proxy("uid") == same.proxy("uid") != other.proxy("uid")


def test_no_two_credentials_are_alike() -> None:
    derived = Derived()
    derived.know("s" * 64)

    made = [derived.proxy("a"), derived.proxy("b"), derived.redis("a"), derived.redis("b")]

    assert len({each[1] for each in made if each}) == 4
    assert all(each and len(each[1]) == 64 for each in made)


def test_without_a_seed_there_is_none() -> None:
    assert (Derived().proxy("a"), Derived().redis("a")) == (None, None)


def test_it_tells_whether_the_seed_is_another_one() -> None:
    derived = Derived()

    assert [derived.know(each) for each in ("a", "a", "b")] == [True, False, True]
