int two(void)
{
    return two_is_not_declared;
}
