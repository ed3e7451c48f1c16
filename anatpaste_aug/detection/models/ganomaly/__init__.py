"""GANomaly (Akcay et al., ACCV 2018): an encoder, a decoder and a second encoder, trained with a discriminator."""
