// The HTML says what kind of element has an id; a cast at each of them would say it again.
interface Document {
  getElementById(id: string): any;
}
