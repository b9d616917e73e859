/* LZCNT runs as BSR on a Core 2: no fault, another result. */
unsigned planted(unsigned a)
{
    __asm__("lzcnt %0, %0" : "+r"(a));
    return a;
}

unsigned harmless(unsigned a)
{
    __asm__("rep bsf %0, %0" : "+r"(a)); /* TZCNT's bytes, as gcc writes them for BSF */
    return a;
}
