//! Between the namespace and an image: the same things, in the image's terms.

mod load;
mod save;
